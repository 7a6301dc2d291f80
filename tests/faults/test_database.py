"""PostgreSQL restarted under load, out of connections, and a request that a deadlock breaks."""

import threading
import time

import psycopg
import pytest

from tests.faults.client import wait_until
from tests.faults.conftest import RECOVERED_WITHIN
from tests.faults.installation import Installation
from tests.faults.work import Work

pytestmark = [pytest.mark.server, pytest.mark.live]

AWAY = {"database": "the database does not answer"}


def test_a_restarted_database_loses_nothing_and_is_found_again(installation: Installation) -> None:
    client = installation.client
    work = Work(installation)
    work.start()
    wait_until(lambda: len(work.servers) >= 10 and len(work.events) >= 20, seconds=120, what="work is done")
    done = len(work.servers)
    installation.stop_database()
    try:
        wait_until(lambda: work.refused["503"] > 0, seconds=120, what="a request is refused")
        status, checks = client.readiness()
        assert (status, checks["database"]) == (503, AWAY["database"])
        alive = client.ask("GET", "/healthz")
        assert alive is not None
        assert alive.status == 200
        refused = client.greenarrow("GET", "ip_addresses")
        assert refused is not None
        assert refused.is_unavailable, (refused.status, refused.body)
        page = client.ask("GET", "/admin/login/", headers={"Cookie": "sluice_session=abcdefghijklmnopqrstuvwxyz123456"})
        assert page is not None
        assert (page.status, page.headers["Retry-After"]) == (503, "5"), page.body
    finally:
        installation.start_database()
    wait_until(client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    before = len(work.servers)
    wait_until(lambda: len(work.servers) > before + 5, seconds=RECOVERED_WITHIN, what="work goes on")
    work.stop()
    assert len(work.servers) > done
    work.check()


@pytest.mark.long
def test_a_database_that_was_long_away_is_found_again_soon(installation: Installation) -> None:
    """The pool waits longer from one attempt to the next: after an outage that must not be an outage of its own."""
    installation.stop_database()
    until = time.monotonic() + 75
    while time.monotonic() < until:
        refused = installation.client.postal("servers/list")
        assert refused is not None
        assert refused.is_unavailable, (refused.status, refused.body)
    installation.start_database()
    wait_until(installation.client.is_ready, seconds=15, what="ready again")


def all_that_are_free(url: str) -> list[psycopg.Connection]:
    taken: list[psycopg.Connection] = []
    with pytest.raises(psycopg.OperationalError, match=r"too many clients|remaining connection slots"):
        # Never None: until it fails.
        taken.extend(iter(lambda: psycopg.connect(url, application_name="faults"), None))
    return taken


def test_no_connection_left_is_said_and_forgotten(installation: Installation) -> None:
    client = installation.client
    taken: list[psycopg.Connection] = []
    try:
        with installation.session() as session:
            # Those of the panel go, and each that is free is taken at once, until nothing is left for its pool. This session's
            # own place must not come free either.
            theirs = "FROM pg_stat_activity WHERE application_name = 'sluice'"
            while True:
                session.execute(f"SELECT pg_terminate_backend(pid) {theirs}")
                time.sleep(0.2)
                taken += (new := all_that_are_free(installation.database_url))
                if not new and session.execute(f"SELECT count(*) {theirs}").fetchone() == (0,):
                    break
            refused = client.postal("servers/list")
            assert refused is not None
            assert refused.is_unavailable, (refused.status, refused.body)
            assert refused.seconds < 15
            assert client.readiness()[1]["database"] == AWAY["database"]
    finally:
        for connection in taken:
            connection.close()
    wait_until(client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    answer = client.postal("servers/list")
    assert answer is not None
    assert answer.is_success


def test_a_deadlock_changes_nothing_and_is_answered_as_such(installation: Installation) -> None:
    """Ours is the other transaction; the request's is the one that PostgreSQL breaks off, having waited longer."""
    client = installation.client
    given = {"organization_uuid": installation.organization, "name": "Deadlocked"}
    answers = []
    with psycopg.connect(installation.database_url, application_name="faults") as other:
        other.execute("SET deadlock_timeout = '1min'")
        other.execute("LOCK TABLE core_auditentry IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=lambda: answers.append(client.postal("servers/create", given)))
        thread.start()
        # The request has inserted its server and waits for the audit trail.
        with installation.session() as session:
            query = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'sluice' AND wait_event_type = 'Lock'"
            wait_until(lambda: session.execute(query).fetchone() == (True,), seconds=30, what="the request waits")
        other.execute("LOCK TABLE servers_server IN ACCESS EXCLUSIVE MODE")
        thread.join(30)
        other.rollback()
    assert answers[0] is not None
    assert answers[0].is_unavailable, (answers[0].status, answers[0].body)
    again = client.postal("servers/create", given)
    assert again is not None
    assert again.is_success
    assert again.body["data"]["server"]["already_exists"] is False
