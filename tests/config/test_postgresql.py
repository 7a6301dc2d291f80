"""The backend of production: a connection that has died is not handed out, and one that lives is not asked."""

import datetime
from collections.abc import Iterator

import pytest
from django.db import DataError, connection
from django.db.backends.postgresql.base import TIMESTAMPTZ_OID
from psycopg.pq import Format
from psycopg_pool import ConnectionPool

from config.postgresql.base import DatabaseWrapper, UTCLoader, is_alive


@pytest.fixture
def pooled(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseWrapper]:
    if connection.vendor != "postgresql":
        pytest.skip("it is PostgreSQL's backend")
    # Of one connection: what is handed back arrives a moment later, and a larger pool would make another meanwhile.
    options = {**connection.settings_dict["OPTIONS"], "pool": {"min_size": 1, "max_size": 1, "timeout": 10}}
    settings = {**connection.settings_dict, "OPTIONS": options, "CONN_HEALTH_CHECKS": False, "CONN_MAX_AGE": 0}
    wrapper = DatabaseWrapper(settings, alias="pooled")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def pid_of(wrapper: DatabaseWrapper) -> int:
    """Return the server process behind the connection, which is handed back."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    wrapper.close()
    return pid


def end(pid: int) -> None:
    """End a server process and wait until it is gone; up to ten seconds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        assert cursor.fetchone() == (True,), "the server process did not end"


def test_a_living_connection_is_handed_out_unasked(pooled: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ConnectionPool, "check_connection", staticmethod(asked.append))
    assert pid_of(pooled) == pid_of(pooled)
    assert asked == []


def test_a_connection_that_was_ended_is_replaced(pooled: DatabaseWrapper) -> None:
    pid = pid_of(pooled)
    end(pid)
    assert pid_of(pooled) != pid
    assert pid_of(pooled) == pid_of(pooled)


def test_a_notice_is_no_end(pooled: DatabaseWrapper) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("LISTEN sluice")
    raw = pooled.connection
    options = {name: value for name, value in pooled.settings_dict["OPTIONS"].items() if name != "pool"}
    other = DatabaseWrapper({**pooled.settings_dict, "OPTIONS": options}, alias="other")
    with other.cursor() as cursor:
        cursor.execute("NOTIFY sluice")
    other.close()
    assert is_alive(raw)
    raw.close()
    assert not is_alive(raw)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28 14:30:05+00",
        "2026-11-28 14:30:05.25+00",
        "0001-01-01 00:00:00.000001+00",
        "2026-11-28 16:30:05.5+02",
    ],
)
def test_times_are_read_as_django_reads_them(pooled: DatabaseWrapper, text: str) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        (read,) = cursor.fetchone()
        loader = cursor.connection.adapters.get_loader(TIMESTAMPTZ_OID, Format.TEXT)
    assert loader is UTCLoader
    assert read == datetime.datetime.fromisoformat(text)
    assert read.tzinfo is datetime.UTC


@pytest.mark.parametrize("text", ["infinity", "0044-03-15 00:00:00+00 BC", "20000-01-01 00:00:00+00"])
def test_times_that_python_has_not_are_refused_as_by_django(pooled: DatabaseWrapper, text: str) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        with pytest.raises(DataError):
            cursor.fetchone()
