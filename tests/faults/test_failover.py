"""The primary of two PostgreSQL servers is lost under load, and its synchronous standby promoted: nobody restarts Sluice."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults import cut_off
from tests.faults.client import wait_until
from tests.faults.installation import Installation, running
from tests.faults.test_processes import counted
from tests.faults.work import Work
from tests.mta.namespace import CannotBeMade
from tests.stats.faults import servers as cluster
from tools import servers, standby

pytestmark = [pytest.mark.server, pytest.mark.live]

# Seconds from the promotion until requests are answered, and until all is counted.
RECOVERED_WITHIN, COUNTED_WITHIN = 30, 60


@contextlib.contextmanager
def pair(
    *, is_remote: bool = False, apart: bool = False
) -> Iterator[tuple[Installation, standby.Standby, cut_off.Machine | None]]:
    """Three web processes that know both servers, of which one waits with each commit for the other.

    `apart`: both have the statistics, and the configuration is in a third one that stays.
    """
    with contextlib.ExitStack() as stack:
        places = stack.enter_context(servers.running(apart=apart))
        folder, name = Path(places["SLUICE_DATA_DIR"]).parent, "STATS_DATABASE_URL" if apart else "DATABASE_URL"
        first = places[name]
        with standby.running(folder / servers.STATS if apart else folder, first) as second:
            second.make_synchronous()
            machine = stack.enter_context(cut_off.machine(urlsplit(first).port or 0)) if is_remote else None
            primary = machine.address if machine else ("127.0.0.1", urlsplit(first).port)
            urls = {name: with_both(first, primary, second.url)}
            if not apart:
                # The standby is the replica, too, until it is the primary.
                urls["DATABASE_REPLICA_URL"] = second.url
            with running(folder, on={**places, **urls, "WEB_CONCURRENCY": "3"}) as installation:
                yield installation, second, machine


def with_both(first: str, primary: tuple[str, int | None], second: str) -> str:
    """Return the URL that names both, the first one first and by this address."""
    address = urlsplit(first)
    who, port = f"{address.username}:{address.password}", urlsplit(second).port
    return f"postgres://{who}@{primary[0]}:{primary[1]},127.0.0.1:{port}/postgres"


def lose_the_primary(
    installation: Installation, second: standby.Standby, lose: Callable[[], None], *, load: int
) -> None:
    """Lose the primary under load, promote the standby, and account for everything."""
    client = installation.client
    beats = [installation.start_beat(name) for name in ("one", "two")]
    worker = installation.start_worker()
    processes = [installation.sluice.web, worker, *beats]
    work = Work(installation)
    work.start(callers=4)
    wait_until(lambda: len(work.servers) >= 10 and len(work.events) >= load, seconds=180, what="work is done")
    wait_until(lambda: counted(installation) > 0, seconds=60, what="the worker counts")
    lose()
    wait_until(lambda: work.refused["503"] > 0, seconds=60, what="a request is refused")
    second.promote()
    before, began = len(work.events), time.monotonic()
    wait_until(lambda: len(work.events) > before, seconds=RECOVERED_WITHIN, what="events are accepted again")
    wait_until(client.is_ready, seconds=RECOVERED_WITHIN, what="ready again")
    print(
        f"accepted again {time.monotonic() - began:.1f} s after the promotion; the slowest answer took {work.slowest:.1f} s"
    )
    wait_until(lambda: len(work.events) > before + load, seconds=180, what="work goes on")
    work.stop()
    work.check()
    everything = work.send_the_rest()
    # The events of the last moments are counted because beat asks for it: nobody else does.
    wait_until(lambda: counted(installation) >= everything, seconds=COUNTED_WITHIN, what="all is counted")
    assert counted(installation) == everything
    installation.sluice.manage("audit_stats")
    assert [each.poll() for each in processes] == [None] * len(processes), "something ended"


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_killed_primary_loses_nothing_and_its_standby_goes_on(*, apart: bool) -> None:
    with pair(apart=apart) as (installation, second, _):
        primary = cluster.postmaster(installation.folder / servers.STATS if apart else installation.folder)

        def kill() -> None:
            os.kill(primary, signal.SIGQUIT)

        lose_the_primary(installation, second, kill, load=200)


@pytest.mark.long
def test_a_machine_that_is_cut_off_closes_no_connection_and_holds_up_nothing() -> None:
    """Requests under way have no answer until their connections are given up, after 15 seconds."""
    with contextlib.ExitStack() as stack:
        try:
            installation, second, machine = stack.enter_context(pair(is_remote=True))
        except CannotBeMade as reason:
            pytest.skip(str(reason))
        assert machine is not None
        primary = cluster.postmaster(installation.folder)

        def cut() -> None:
            machine.cut_off()
            # What watches over PostgreSQL lets the former primary take no more writes.
            os.kill(primary, signal.SIGQUIT)

        lose_the_primary(installation, second, cut, load=200)
