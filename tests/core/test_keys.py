"""What all keys share: they are issued, found by their digest, and their use is noted without waiting."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.apps import apps
from django.db import connection, transaction

from core import keys
from core.models import ApiToken, Key
from servers.models import Credential
from stats.models import IngestToken
from tests.factories import ApiTokenFactory
from tests.races import in_the_open

NOW = datetime.datetime(2026, 11, 18, 10, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
DAY = datetime.timedelta(days=1)

KEYS = {ApiToken, Credential, IngestToken}


def test_the_keys_are_one_kind_of_model():
    assert {model for model in apps.get_models() if issubclass(model, Key)} >= KEYS


def test_issuing_gives_a_new_key_and_keeps_its_digest():
    token = ApiToken(key_prefix="abcdef", key_digest="d" * 64)
    key = keys.issue(token)
    assert len(key) == 32
    assert key.isalnum()
    assert (token.key_prefix, token.key_digest) == (key[:6], keys.digest(key))
    assert keys.issue(token) != key


@pytest.mark.parametrize(
    ("columns", "is_found"),
    [
        ({}, True),
        ({"expires_at": NOW + SECOND}, True),
        ({"expires_at": NOW}, False),
        ({"revoked_at": NOW - DAY}, False),
        ({"revoked_at": NOW - DAY, "expires_at": NOW + DAY}, False),
    ],
)
def test_only_a_usable_key_is_found(db, columns, is_found):
    token = ApiTokenFactory(key_digest=keys.digest("right"), **columns)
    assert keys.find(ApiToken.objects.all(), "right", at=NOW) == (token if is_found else None)
    assert keys.find(ApiToken.objects.all(), "wrong", at=NOW) is None
    assert token.is_usable(NOW) is is_found


@pytest.mark.storage
def test_use_is_written_once_a_minute_by_one_statement(db, django_assert_num_queries):
    token = ApiTokenFactory()
    with django_assert_num_queries(1):
        assert keys.touch_last_used(token, at=NOW) is True
    # What another process wrote meanwhile is known to the database alone.
    assert keys.touch_last_used(token, at=NOW + 59 * SECOND) is False
    token.refresh_from_db()
    assert token.last_used_at == NOW
    with django_assert_num_queries(0):
        assert keys.touch_last_used(token, at=NOW + 59 * SECOND) is False
    assert keys.touch_last_used(token, at=NOW + 60 * SECOND) is True
    token.refresh_from_db()
    assert token.last_used_at == NOW + 60 * SECOND


@pytest.mark.storage
@in_the_open
def test_writing_the_use_never_waits():
    token, other = ApiTokenFactory(), ApiTokenFactory()

    def touched(each):
        try:
            return keys.touch_last_used(each, at=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).update(name="Being changed")
            # Whoever waited would do so until this transaction's end; on SQLite, for half a minute.
            assert thread.submit(touched, token).result(timeout=25) is False
            # A row that nobody holds is written on PostgreSQL, whatever else is being changed.
            assert thread.submit(touched, other).result(timeout=25) is (connection.vendor == "postgresql")
        assert thread.submit(touched, token).result(timeout=25) is True
    token.refresh_from_db()
    assert (token.last_used_at, token.name) == (NOW, "Being changed")


@pytest.mark.storage
@in_the_open
def test_other_statements_of_the_connection_wait_as_before():
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite's connection is told not to wait")
    with connection.cursor() as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()
        keys.touch_last_used(ApiTokenFactory(), at=NOW)
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == usual == (30_000,)
