"""The first operator is made once; a lost password is replaced."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from config import operators
from core.audit import Actor
from core.models import AuditEntry, User
from core.users import PASSWORD_LENGTH

pytestmark = pytest.mark.django_db

ACTOR = Actor.of_command("up")


def test_it_makes_the_first_operator_once(client: Client) -> None:
    made = operators.make_first_operator(actor=ACTOR)
    assert made.username == "operator"
    assert len(made.password) == PASSWORD_LENGTH
    assert client.login(username="operator", password=made.password)
    assert operators.make_first_operator(actor=ACTOR) is None
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == ("operator", True, True)


def test_it_makes_none_where_somebody_may_do_everything() -> None:
    User.objects.create_superuser("ada", password="x")
    assert operators.make_first_operator(actor=ACTOR) is None
    assert User.objects.count() == 1


def test_it_keeps_a_user_who_has_the_name(client: Client) -> None:
    User.objects.create_user("operator", password="x")
    made = operators.make_first_operator(actor=ACTOR)
    assert made.username == "operator-2"
    assert client.login(username="operator-2", password=made.password)


def test_making_is_recorded_without_the_password() -> None:
    password = operators.make_first_operator(actor=ACTOR).password
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.actor_kind, entry.actor_label, entry.target_label) == (
        "user.created",
        "command",
        "up",
        "operator",
    )
    assert password not in str(entry.after)
    assert "password" not in entry.after


def test_reset_password_works_and_ends_sessions(client: Client) -> None:
    old = operators.make_first_operator(actor=ACTOR).password
    client.login(username="operator", password=old)
    assert client.get("/admin/").status_code == 200
    out = io.StringIO()
    call_command("reset_password", stdout=out)
    said, new = out.getvalue().strip().split(": ")
    assert said == "The new password of operator"
    assert client.get("/admin/").status_code == 302
    assert not client.login(username="operator", password=old)
    assert client.login(username="operator", password=new)
    assert AuditEntry.objects.filter(act="user.password_reset").count() == 1


def test_reset_password_rejects_a_stranger() -> None:
    with pytest.raises(CommandError, match=r"The user 'nobody' could not be found\."):
        call_command("reset_password", "nobody")


def test_the_command_prints_the_password_once(client: Client) -> None:
    output = io.StringIO()
    call_command("first_operator", stdout=output)
    begin = "Sign in as operator with the password "
    assert output.getvalue().startswith(begin)
    assert client.login(username="operator", password=output.getvalue().removeprefix(begin).strip())
    assert AuditEntry.objects.get(act="user.created").actor_label == "first_operator"

    again = io.StringIO()
    call_command("first_operator", stdout=again)
    assert again.getvalue() == "There is a superuser already; `reset_password NAME` gives a new password.\n"
    assert User.objects.count() == 1
