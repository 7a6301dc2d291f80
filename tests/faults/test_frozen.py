"""A PostgreSQL that is frozen while its kernel goes on answering, and statements that take too long."""

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from config.postgresql import bounds
from tests.faults.client import Answer, wait_until
from tests.faults.conftest import RECOVERED_WITHIN
from tests.faults.installation import Installation, children_of
from tests.stats.faults import servers as cluster

pytestmark = [pytest.mark.server, pytest.mark.live]

# Seconds in which a request is refused (SLUICE_STATEMENT_TIMEOUT and five more, with room for a busy machine), and in which
# those are that need not wait.
REFUSED_WITHIN, AT_ONCE = 25, 5
# More than the threads of all web processes.
CALLERS = 24
SIGNED_IN = {"Cookie": "sluice_session=abcdefghijklmnopqrstuvwxyz123456"}


@contextlib.contextmanager
def frozen(installation: Installation) -> Iterator[None]:
    """Stop every process of PostgreSQL where it is, as on a machine that is paused; the kernel goes on."""
    first = cluster.postmaster(installation.folder)
    os.kill(first, signal.SIGSTOP)
    stopped = [first, *children_of(first)]
    try:
        for number in stopped[1:]:
            os.kill(number, signal.SIGSTOP)
        yield
    finally:
        for number in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)


def refused(ask: partial[Answer | None]) -> float:
    """Return how long it took to be refused."""
    answer = ask()
    assert answer is not None
    if isinstance(answer.body, str):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), answer.body
    else:
        assert answer.is_unavailable, (answer.status, answer.body)
    return answer.seconds


def test_it_is_refused_in_time_and_then_at_once(installation: Installation) -> None:
    client = installation.client
    asks = [
        partial(client.postal, "servers/list"),
        partial(client.postal, "servers/create", {"organization_uuid": installation.organization, "name": "Frozen"}),
        partial(client.greenarrow, "GET", "ip_addresses"),
        partial(client.ask, "GET", "/admin/login/", headers=SIGNED_IN),
    ] * (CALLERS // 4)
    with ThreadPoolExecutor(CALLERS) as callers:
        # Every connection of the pools is open.
        assert all(callers.map(lambda ask: ask(), asks))
        with frozen(installation):
            waiting = [callers.submit(refused, ask) for ask in asks]
            alive = [client.ask("GET", "/healthz") for _ in range(10)]
            assert all(each is not None and each.status == 200 and each.seconds < AT_ONCE for each in alive), alive
            assert max(each.result() for each in waiting) < REFUSED_WITHIN
            # One of each process's requests tries it now and then.
            later = sorted(callers.map(refused, asks))
            assert later[CALLERS // 2] < AT_ONCE, later
            assert later[-1] < REFUSED_WITHIN, later
    # Each process finds it by itself.
    wait_until(lambda: all(client.is_ready() for _ in range(20)), seconds=RECOVERED_WITHIN, what="all are ready again")


def test_who_has_no_bound_gives_up_a_server_that_lets_nobody_in(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker whose statement may take hours."""
    monkeypatch.setattr(bounds, "ASKED_AFTER", 1)
    monkeypatch.setattr(bounds, "LETS_IN_WITHIN", 2)
    connection = bounds.Connection.connect(installation.database_url)
    with frozen(installation), pytest.raises(psycopg.OperationalError, match="gave no answer in 1 s"):
        connection.execute("SELECT pg_sleep(600)")
    assert connection.closed
    assert installation.client.postal("servers/list")


def test_a_statement_has_its_time(installation: Installation) -> None:
    """Others hold the tables that a request and a page need."""
    with psycopg.connect(installation.database_url, application_name="faults") as other:
        other.execute("LOCK TABLE servers_server, django_session IN ACCESS EXCLUSIVE MODE")
        answer = installation.client.postal("servers/list")
        assert answer is not None
        assert answer.is_unavailable, (answer.status, answer.body)
        assert "takes too long" in answer.body["data"]["message"]
        assert answer.seconds < REFUSED_WITHIN
        page = installation.client.ask("GET", "/admin/login/", headers=SIGNED_IN)
        assert page is not None
        assert (page.status, page.headers["Retry-After"]) == (503, "5"), page.body
        assert "choose a shorter time span" in page.body
        other.rollback()
    again = installation.client.postal("servers/list")
    assert again is not None
    assert again.is_success
