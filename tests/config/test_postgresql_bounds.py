"""How long a web process waits for PostgreSQL. Frozen servers are in tests/faults/test_frozen.py."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from config.postgresql import bounds
from config.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.server


@pytest.fixture
def wrapper(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DatabaseWrapper]]:
    """Make connections as a web process does whose statements may take a second."""
    if connection.vendor != "postgresql":
        pytest.skip("it is PostgreSQL's backend")
    monkeypatch.setattr(bounds, "longest_statement", 1)
    monkeypatch.setattr(DatabaseWrapper, "_away", {})
    made = []

    def make(*, pool: bool) -> DatabaseWrapper:
        options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
        if pool:
            options["pool"] = {"min_size": 1, "max_size": 1, "timeout": 10}
        settings = {**connection.settings_dict, "OPTIONS": options, "CONN_HEALTH_CHECKS": False, "CONN_MAX_AGE": 0}
        made.append(DatabaseWrapper(settings, alias=f"bounded {pool}"))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.close_pool()


def ask(wrapper: DatabaseWrapper, sql: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_a_statement_has_its_time_and_the_connection_lives(wrapper: Callable[..., DatabaseWrapper]) -> None:
    pooled = wrapper(pool=True)
    pid = ask(pooled, "SELECT pg_backend_pid()")
    with pytest.raises(OperationalError) as ended:
        ask(pooled, "SELECT pg_sleep(60)")
    assert isinstance(ended.value.__cause__, psycopg.errors.QueryCanceled)
    assert ask(pooled, "SELECT pg_backend_pid()") == pid


def test_a_pooler_s_session_is_left_as_it_is(wrapper: Callable[..., DatabaseWrapper]) -> None:
    bare = wrapper(pool=False)
    assert ask(bare, "SHOW statement_timeout") == "0"
    assert bare.connection.answer_within == 1 + bounds.GRACE


def test_other_processes_have_no_bounds(
    wrapper: Callable[..., DatabaseWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "longest_statement", None)
    pooled = wrapper(pool=True)
    assert ask(pooled, "SHOW statement_timeout") == "0"
    assert pooled.connection.answer_within is None


@pytest.mark.parametrize("pool", [True, False])
def test_a_server_that_gives_no_answer_is_left_and_then_tried(
    wrapper: Callable[..., DatabaseWrapper], monkeypatch: pytest.MonkeyPatch, *, pool: bool
) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    found = wrapper(pool=pool)
    pid = ask(found, "SELECT pg_backend_pid()")
    ask(found, "SELECT set_config('statement_timeout', '0', false)")
    found.connection.answer_within = 0.2
    with pytest.raises(OperationalError, match=r"no answer in 0\.2 s"):
        ask(found, "SELECT pg_sleep(60)")
    found.close()
    # PostgreSQL itself notices nothing before the statement's end.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    # One tries it at once, and nobody else meanwhile; it is refused, and left.
    assert found.away.is_tried()
    clock[0] += 1_000
    with pytest.raises(OperationalError, match="a moment ago"):
        ask(found, "SELECT 1")
    found.away.note()
    with pytest.raises(OperationalError, match="a moment ago"):
        ask(found, "SELECT 1")
    clock[0] += bounds.LEFT_FOR
    assert ask(found, "SELECT 1") == 1
    assert not found.away.is_tried()


def test_without_a_bound_a_server_that_lets_others_in_is_waited_for(
    wrapper: Callable[..., DatabaseWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "longest_statement", None)
    monkeypatch.setattr(bounds, "ASKED_AFTER", 0.2)
    asked = []
    is_frozen = bounds.Connection._is_frozen
    monkeypatch.setattr(bounds.Connection, "_is_frozen", lambda self: asked.append(is_frozen(self)) or asked[-1])
    unbounded = wrapper(pool=False)
    assert ask(unbounded, "SELECT 7 FROM pg_sleep(1)") == 7
    assert asked
    assert not any(asked)
    assert ask(unbounded, "SELECT sum(n) FROM generate_series(1, 1000) AS n") == 500_500
