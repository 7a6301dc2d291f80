"""Web and worker killed in the middle of their work, and two beats at once."""

import os
import signal
import threading

import psycopg
import pytest

from tests.faults.client import Client, wait_until
from tests.faults.installation import Installation
from tests.faults.work import Work, some_events

pytestmark = [pytest.mark.server, pytest.mark.live]

WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'sluice' AND wait_event_type = 'Lock'"


def count_all(installation: Installation) -> int:
    """Count what is still open, and return the count."""
    installation.sluice.manage("roll_up_stats")
    return counted(installation)


def counted(installation: Installation) -> int:
    answer = installation.client.postal("servers/show", {"include_stats": True})
    assert answer is not None
    assert answer.is_success, answer.body
    return int(answer.body["data"]["server"]["stats"]["messages_sent_today"])


def wait_for_a_lock(installation: Installation) -> None:
    with installation.session() as session:
        wait_until(lambda: session.execute(WAITING).fetchone() == (True,), seconds=30, what="somebody waits")


def test_web_killed_mid_request_leaves_nothing_half_done(installation: Installation) -> None:
    given = {"organization_uuid": installation.organization, "name": "Half done"}
    client = Client(installation.client.url, installation.client.key)
    answers: list[object] = []
    with psycopg.connect(installation.database_url, application_name="faults") as other:
        other.execute("LOCK TABLE core_auditentry IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=lambda: answers.append(client.postal("servers/create", given)))
        thread.start()
        wait_for_a_lock(installation)
        for number in installation.web_workers():
            os.kill(number, signal.SIGKILL)
        thread.join(30)
        assert answers == [None]
        assert client.broken
        other.rollback()
    wait_until(installation.client.is_ready, seconds=30, what="ready again")
    again = installation.client.postal("servers/create", given)
    assert again is not None
    assert again.is_success, again.body
    assert again.body["data"]["server"]["already_exists"] is False


def test_web_killed_under_load_loses_nothing_accepted(installation: Installation) -> None:
    work = Work(installation)
    work.start()
    for round_ in range(1, 3):
        wanted = 4 * round_
        wait_until(lambda wanted=wanted: len(work.servers) >= wanted, seconds=120, what="work is done")
        for number in installation.web_workers():
            os.kill(number, signal.SIGKILL)
    before = len(work.servers)
    wait_until(lambda: len(work.servers) > before, seconds=120, what="work goes on")
    work.stop()
    work.check()


def test_a_worker_killed_mid_task_counts_everything_once(installation: Installation) -> None:
    before = count_all(installation)
    accepted = installation.client.postal("events", some_events(installation, "killed", 30))
    assert accepted is not None
    assert accepted.is_success
    with psycopg.connect(installation.database_url, application_name="faults") as other:
        # The fold has claimed its batches and waits to write the counts.
        other.execute("LOCK TABLE stats_servercount IN ACCESS EXCLUSIVE MODE")
        first, beat = installation.start_worker("killed"), installation.start_beat("killed_beat")
        wait_for_a_lock(installation)
        first.kill()
        first.wait()
        other.rollback()
    assert counted(installation) == before
    second = installation.start_worker("second")
    wait_until(lambda: counted(installation) >= before + 30, seconds=120, what="the events are counted")
    assert counted(installation) == before + 30
    for process in (beat, second):
        process.terminate()
        process.wait(30)


def test_two_beats_at_once_count_everything_once(installation: Installation) -> None:
    before = count_all(installation)
    other_memory = {"SLUICE_DATA_DIR": str(installation.folder / "other")}
    processes = [
        installation.start_worker("shared"),
        installation.start_beat("one"),
        installation.start_beat("two", **other_memory),
    ]
    total = 0
    for turn in range(4):
        accepted = installation.client.postal("events", some_events(installation, f"beats{turn}", 25))
        assert accepted is not None
        assert accepted.is_success
        total += 25
    wait_until(lambda: counted(installation) >= before + total, seconds=120, what="the events are counted")
    # Both have sent by now what each sends every five seconds.
    threading.Event().wait(6)
    assert counted(installation) == before + total
    installation.sluice.manage("audit_stats")
    for process in processes:
        assert process.poll() is None
        process.terminate()
        process.wait(30)
