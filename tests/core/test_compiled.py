"""Rows by SQL that is made once."""

import datetime

import pytest

from core.compiled import CompiledRow
from core.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def test_it_gives_what_the_orm_gives(django_assert_num_queries):
    joined = datetime.datetime(2026, 11, 18, 10, 30, 15, 250_001, tzinfo=datetime.UTC)
    User.objects.create(username="ada", date_joined=joined, is_staff=True)
    User.objects.create(username="bob")

    def build(name):
        return User.objects.filter(username=name, is_active=True).values_list(
            "pk", "username", "date_joined", "is_staff"
        )

    row = CompiledRow(build)
    for name in ("ada", "bob", "ada", "nobody", "'; --", "%s"):
        with django_assert_num_queries(1):
            found = row.of(name)
        assert found == build(name).first()
    assert row.of("ada")[1:] == ("ada", joined, True)
