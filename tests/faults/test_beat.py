"""Several beats: one leads; when it is killed or frozen another goes on, and no message is sent twice."""

import datetime
import itertools
import json
import signal

import pytest

from tests.faults.client import wait_until
from tests.faults.installation import Installation

pytestmark = [pytest.mark.server, pytest.mark.live]

# Sent every five seconds, and dropped unless a worker fetches it within five.
TASK, LASTS = "stats.tasks.fold_batches", datetime.timedelta(seconds=5)
LONGEST_GAP = datetime.timedelta(seconds=30)
# Far less than five seconds: a beat can be slow between deciding and sending.
TWICE = datetime.timedelta(seconds=1)


def sent(installation: Installation) -> list[datetime.datetime]:
    """Return when each message of the task was sent, oldest first: no worker takes them."""
    with installation.valkey() as client:
        messages = [json.loads(each)["headers"] for each in reversed(client.lrange("celery", 0, -1))]
    return [datetime.datetime.fromisoformat(each["expires"]) - LASTS for each in messages if each["task"] == TASK]


def test_another_beat_goes_on_when_the_leader_is_killed(installation: Installation) -> None:
    with installation.valkey() as client:
        client.delete("celery")
    first = installation.start_beat("leader")
    wait_until(lambda: len(sent(installation)) >= 2, seconds=60, what="the leader sends")
    elsewhere = {"SLUICE_DATA_DIR": str(installation.folder / "elsewhere")}
    others = [installation.start_beat(name, **elsewhere) for name in ("second", "third")]
    for name in ("second", "third"):
        wait_until(
            lambda name=name: "beat_stands_by" in installation.log_of(name), seconds=60, what=f"{name} stands by"
        )
    before = len(sent(installation))
    wait_until(lambda: len(sent(installation)) > before, seconds=60, what="the leader sends on")
    first.kill()
    first.wait()
    at_the_kill = len(sent(installation))
    wait_until(lambda: len(sent(installation)) >= at_the_kill + 3, seconds=90, what="another beat sends")
    moments = sent(installation)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert max(gaps) < LONGEST_GAP, gaps
    assert min(gaps) > TWICE, gaps
    assert sorted("beat_leads" in installation.log_of(name) for name in ("second", "third")) == [False, True]
    for process in others:
        assert process.poll() is None
        process.terminate()
        process.wait(30)


def test_a_leader_that_loses_its_session_leaves_the_lead_or_takes_it_again(installation: Installation) -> None:
    names = ("before", "beside")
    beats = [installation.start_beat(name) for name in names]

    def led() -> int:
        return sum(installation.log_of(name).count("beat_leads") for name in names)

    wait_until(lambda: led() == 1, seconds=60, what="one leads")
    with installation.session() as session:
        session.execute("SELECT pg_terminate_backend(%s)", leaders(installation))
    wait_until(lambda: led() == 2, seconds=60, what="one leads again")
    assert len(leaders(installation)) == 1
    for process in beats:
        assert process.poll() is None
        process.terminate()
        process.wait(30)
    assert leaders(installation) == []


def test_a_leader_that_is_frozen_leads_no_longer(installation: Installation) -> None:
    """Its kernel goes on answering the database for it: nothing was sent until it went on."""
    with installation.valkey() as client:
        client.delete("celery")
    beats = {"frozen": installation.start_beat("frozen")}
    wait_until(lambda: "beat_leads" in installation.log_of("frozen"), seconds=60, what="one leads")
    beats["awake"] = installation.start_beat("awake")
    wait_until(lambda: "beat_stands_by" in installation.log_of("awake"), seconds=60, what="the other stands by")
    before = len(sent(installation))
    beats["frozen"].send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: "beat_leads" in installation.log_of("awake"), seconds=60, what="the other leads")
        wait_until(lambda: len(sent(installation)) >= before + 3, seconds=60, what="the other sends")
    finally:
        beats["frozen"].send_signal(signal.SIGCONT)
    wait_until(lambda: "beat_stands_by" in installation.log_of("frozen"), seconds=60, what="the first stands by")
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent(installation))]
    assert max(gaps) < LONGEST_GAP + LASTS, gaps
    assert min(gaps) > TWICE, gaps
    for process in beats.values():
        assert process.poll() is None
        process.terminate()
        process.wait(30)


def leaders(installation: Installation) -> list[int]:
    """Return the sessions that hold a beat's lock."""
    query = (
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND application_name = 'sluice beat'"
    )
    with installation.session() as session:
        return [pid for (pid,) in session.execute(query)]
