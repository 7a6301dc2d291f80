"""Rows by SQL that is made once."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from core import keys
from core.compiled import Compiled
from core.models import ApiToken, User
from tests.races import in_the_open

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def test_it_gives_what_the_orm_gives(django_assert_num_queries):
    joined = datetime.datetime(2026, 11, 18, 10, 30, 15, 250_001, tzinfo=datetime.UTC)
    User.objects.create(username="ada", date_joined=joined, is_staff=True)
    User.objects.create(username="bob")

    def build(name):
        return User.objects.filter(username=name, is_active=True).values_list(
            "pk", "username", "date_joined", "is_staff"
        )

    compiled = Compiled((str,), build)
    for name in ("ada", "bob", "ada", "nobody", "'; --", "%s"):
        with django_assert_num_queries(1):
            found = compiled.first(name)
        assert found == build(name).first()
    assert compiled.first("ada")[1:] == ("ada", joined, True)


def test_it_gives_every_row_for_an_id(django_assert_num_queries):
    users = [User.objects.create(username=name) for name in ("ada", "bob")]
    others = [ApiToken(user=user, name=f"CI {number}") for user in users for number in range(3)]
    for token in others:
        keys.issue(token)
        token.save()

    def build(user_id):
        return ApiToken.objects.filter(user_id=user_id).order_by("pk").values_list("pk", "name", "created_at")

    compiled = Compiled((int,), build)
    for user_id in (users[0].pk, users[1].pk, 0, -1):
        with django_assert_num_queries(1):
            found = compiled.all(user_id)
        assert found == list(build(user_id))
    assert len(compiled.all(users[0].pk)) == 3


def test_it_takes_several_values_in_any_order_and_any_number_of_times():
    for name in ("ada", "bob", "eve"):
        User.objects.create(username=name, first_name=name, is_staff=name != "eve")

    def build(pk, name):
        chosen = Q(username__in=[name, "eve"]) | Q(first_name=name, is_staff=True)
        return User.objects.filter(chosen, pk__gt=pk).order_by("pk").values_list("pk", "username")

    several = Compiled((int, str), build)
    for given in ((0, "ada"), (0, "bob"), (User.objects.get(username="ada").pk, "ada")):
        assert several.all(*given) == list(build(*given))
    assert [name for _, name in several.all(0, "bob")] == ["bob", "eve"]
    assert [name for (name,) in Compiled((), lambda: User.objects.order_by("pk").values_list("username")).all()] == [
        "ada", "bob", "eve",
    ]  # fmt: skip


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite does not plan for long")
def test_the_server_keeps_the_plan():
    compiled = Compiled((str,), lambda name: User.objects.filter(username=name, is_superuser=True).values_list("pk"))
    with CaptureQueriesContext(connection) as queries:
        assert [compiled.all(name) for name in ("ada", "bob")] == [[], []]
    assert ["'ada'" in queries[0]["sql"], "'bob'" in queries[1]["sql"]] == [True, True]
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        kept = [statement for (statement,) in cursor.fetchall() if '"username" = $1' in statement]
    assert len([statement for statement in kept if "is_superuser" in statement]) == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no plans that a schema could leave behind")
@in_the_open
def test_a_plan_whose_types_were_changed_by_another_is_made_anew():
    person = User.objects.create(username="ada")
    compiled = Compiled((int,), lambda pk: User.objects.filter(pk=pk).values_list("username"))

    def widen(length):
        # By a connection of its own, as a migration beside running processes.
        with ThreadPoolExecutor(1) as beside:
            beside.submit(_altered, length).result()

    assert compiled.first(person.pk) == ("ada",)
    try:
        widen(200)
        assert [compiled.first(person.pk) for _ in range(2)] == [("ada",)] * 2
    finally:
        widen(150)


def _altered(length: int) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE core_user ALTER COLUMN username TYPE varchar({length})")
    finally:
        connection.close()
