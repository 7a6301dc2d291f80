"""The primary of two Valkeys is lost, and Sentinels promote its replica: tasks and their schedule go on without a restart."""

import datetime
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.client import wait_until
from tests.faults.installation import PASSWORD, Installation, running
from tests.faults.test_processes import counted
from tests.faults.work import Work
from tools import sentinel, servers

pytestmark = [pytest.mark.server, pytest.mark.live]

# Seconds after the promotion.
RECOVERED_WITHIN, COUNTED_WITHIN = 30, 60


@pytest.fixture
def group(tmp_path: Path) -> Iterator[sentinel.Group]:
    with sentinel.running(tmp_path) as found:
        yield found


@pytest.fixture
def watched(group: sentinel.Group) -> Iterator[Installation]:
    with servers.running() as places:
        folder = Path(places["SLUICE_DATA_DIR"]).parent
        with running(folder, on={**places, "REDIS_URL": group.url}) as installation:
            yield installation


def sent_last(group: sentinel.Group) -> datetime.datetime:
    """Return when beat last sent the task that counts, as the present primary knows it."""
    with group.client(group.primary()) as client:
        noted = client.hget("sluice.last_runs", "count new events")
    return (
        datetime.datetime.fromisoformat(noted.decode()) if noted else datetime.datetime.min.replace(tzinfo=datetime.UTC)
    )


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_the_replica_is_promoted_and_found(watched: Installation, group: sentinel.Group, how: signal.Signals) -> None:
    client = watched.client
    beats = [watched.start_beat(name) for name in ("one", "two")]
    processes = [watched.sluice.web, watched.start_worker(), *beats]
    work = Work(watched)
    work.start(callers=1)
    wait_until(lambda: counted(watched) > 0, seconds=120, what="the worker counts")
    lost = group.primary()
    os.kill(group.process_of(lost), how)
    try:
        before, began = len(work.events), time.monotonic()
        wait_until(lambda: group.primary() != lost, seconds=60, what="the replica is promoted")
        promoted, at = time.monotonic(), datetime.datetime.now(datetime.UTC)
        wait_until(client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
        wait_until(lambda: sent_last(group) > at, seconds=RECOVERED_WITHIN, what="the schedule goes on")
        print(f"promoted after {promoted - began:.1f} s, all well {time.monotonic() - promoted:.1f} s later")
        accepted = client.greenarrow("GET", "ip_addresses", password=PASSWORD)
        assert accepted is not None
        assert accepted.status == 200, accepted.body
        work.stop()
    finally:
        os.kill(group.process_of(lost), signal.SIGCONT) if how == signal.SIGSTOP else None
    # Reporting went on without the broker: what it was not told of is found by the schedule.
    assert len(work.events) > before
    assert not work.refused, work.refused
    work.check()
    everything = work.send_the_rest()
    wait_until(lambda: counted(watched) >= everything, seconds=COUNTED_WITHIN, what="all is counted")
    assert counted(watched) == everything
    watched.sluice.manage("audit_stats")
    assert [each.poll() for each in processes] == [None] * len(processes), "something ended"
    if how == signal.SIGSTOP:
        with group.client(lost) as returned:
            wait_until(lambda: returned.role()[0] == b"slave", seconds=30, what="the one that came back follows")
