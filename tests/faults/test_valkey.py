"""Valkey gone, back and empty, hanging, and out of memory: only what needs it is refused, and counting catches up."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.client import Answer, wait_until
from tests.faults.conftest import RECOVERED_WITHIN
from tests.faults.installation import PASSWORD, Installation
from tests.faults.work import some_events

pytestmark = [pytest.mark.server, pytest.mark.live]

GONE = "the broker does not answer"
FULL = "the broker does not accept messages"
# What a request may take while Valkey hangs: a few waits of two seconds each.
SECONDS_OF_A_REQUEST = 12


@pytest.fixture(scope="module", autouse=True)
def counting(whole: Installation) -> Iterator[None]:
    """A worker and a beat, which live through all of it."""
    worker, beat = whole.start_worker(), whole.start_beat()
    yield
    assert worker.poll() is None, whole.log_of("worker")[-3000:]
    assert beat.poll() is None, whole.log_of("beat")[-3000:]
    # The next file's tests start their own.
    for process in (beat, worker):
        process.terminate()
        process.wait(30)


def sent_by_server(installation: Installation) -> int:
    """Return what is counted, as the API says it."""
    answer = installation.client.postal("servers/show", {"include_stats": True})
    assert answer is not None
    assert answer.is_success, answer.body
    return int(answer.body["data"]["server"]["stats"]["messages_sent_today"])


def accept(installation: Installation, name: str, count: int = 20) -> None:
    """Events are accepted, whatever Valkey does."""
    answer = installation.client.postal("events", some_events(installation, name, count))
    assert answer is not None
    assert answer.is_success, answer.body
    assert answer.body["data"]["accepted"] == count
    assert answer.seconds < SECONDS_OF_A_REQUEST


def asked(answer: Answer | None) -> Answer:
    assert answer is not None
    assert answer.seconds < SECONDS_OF_A_REQUEST
    return answer


def assert_only_passwords_are_refused(installation: Installation, reason: str) -> None:
    client = installation.client
    status, checks = client.readiness()
    assert (status, checks) == (
        503,
        {"database": "ok", "migrations": "ok", "broker": reason, "disk": "ok", "counting": checks["counting"]},
    )
    assert asked(client.postal("servers/list")).is_success
    assert asked(client.greenarrow("GET", "ip_addresses")).status == 200
    # One that was right a moment ago is remembered by a cache that can still be read: a new one is what cannot be looked at.
    refused = asked(client.greenarrow("GET", "ip_addresses", password="not the password"))
    assert refused.is_unavailable, (refused.status, refused.body)
    wrong = asked(client.ask("POST", "/api/v1/servers/list", {}, {"X-Server-API-Key": "wrong"}))
    assert wrong.body["data"]["code"] == "InvalidServerAPIKey"


def assert_recovered(installation: Installation, expected: int) -> None:
    """All that was accepted is counted once, by the worker and beat that were there all the time."""
    wait_until(installation.client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    wait_until(lambda: sent_by_server(installation) >= expected, seconds=60, what=f"{expected} events are counted")
    assert sent_by_server(installation) == expected
    assert asked(installation.client.greenarrow("GET", "ip_addresses", password=PASSWORD)).status == 200


def test_gone_and_back_empty(installation: Installation) -> None:
    before = sent_by_server(installation)
    installation.stop_valkey()
    try:
        accept(installation, "gone")
        assert_only_passwords_are_refused(installation, GONE)
    finally:
        installation.start_valkey()
    assert_recovered(installation, before + 20)


def test_hanging(installation: Installation) -> None:
    """Worse than gone: it takes connections and says nothing."""
    before = sent_by_server(installation)
    number = installation.valkey_process()
    os.kill(number, signal.SIGSTOP)
    try:
        accept(installation, "hanging")
        assert_only_passwords_are_refused(installation, GONE)
    finally:
        os.kill(number, signal.SIGCONT)
    assert_recovered(installation, before + 20)


def test_out_of_memory(installation: Installation) -> None:
    before = sent_by_server(installation)
    with installation.valkey() as valkey:
        valkey.config_set("maxmemory", "1")
        try:
            accept(installation, "full")
            assert_only_passwords_are_refused(installation, FULL)
            # Long enough for beat and worker to meet it.
            time.sleep(6)
        finally:
            valkey.config_set("maxmemory", "0")
    assert_recovered(installation, before + 20)
