"""Reads from a real standby: recorded changes are seen at once, all else within the bound, and its failure fails nothing."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.faults.client import Client, wait_until
from tests.faults.installation import Installation, running
from tools import servers, standby

pytestmark = [pytest.mark.server, pytest.mark.live]

LAG = 4
# Seconds that a request may take while the replica is away.
SLOWEST = 5


@dataclass
class Replicated:
    """An installation, and the standby that it reads from."""

    installation: Installation
    second: standby.Standby

    def names(self, client: Client | None = None) -> set[str]:
        """Return the names of the servers, as the list shows them."""
        answer = (client or self.installation.client).postal("servers/list")
        assert answer is not None
        assert answer.is_success, answer.body
        assert answer.seconds < SLOWEST
        return {server["name"] for server in answer.body["data"]["servers"]}

    def create(self, name: str, client: Client | None = None) -> None:
        given = {"organization_uuid": self.installation.organization, "name": name}
        answer = (client or self.installation.client).postal("servers/create", given)
        assert answer is not None
        assert answer.is_success, answer.body

    def rename_unrecorded(self, old: str, new: str) -> None:
        """Change a row as no act does, so that nothing is noted."""
        with self.installation.session() as session:
            changed = session.execute("UPDATE servers_server SET name = %s WHERE name = %s", [new, old])
            assert changed.rowcount == 1

    def reads(self) -> int:
        """Return how many rows of servers were fetched on the standby."""
        with psycopg.connect(self.second.url, autocommit=True) as session:
            session.execute("SELECT pg_stat_clear_snapshot()")
            row = session.execute("SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables "
                                  "WHERE relname = 'servers_server'").fetchone()  # fmt: skip
            return int(row[0]) if row else 0

    def wait_until_read(self) -> None:
        """Read until it is the standby that answers."""

        def is_read() -> bool:
            before = self.reads()
            self.names()
            time.sleep(0.6)
            return self.reads() > before

        wait_until(is_read, seconds=40, what="the standby is read")


@pytest.fixture(scope="module")
def replicated() -> Iterator[Replicated]:
    with servers.running() as places:
        folder = Path(places["SLUICE_DATA_DIR"]).parent
        with standby.running(folder, places["DATABASE_URL"]) as second:
            urls = {"DATABASE_REPLICA_URL": second.url, "SLUICE_REPLICA_LAG": str(LAG)}
            with running(folder, on={**places, **urls}) as installation:
                yield Replicated(installation, second)


def test_lists_are_read_from_the_standby(replicated: Replicated) -> None:
    replicated.wait_until_read()
    token = replicated.installation.client.greenarrow("GET", "ip_addresses")
    assert token is not None
    assert token.status == 200


def test_a_change_is_seen_at_once_while_the_standby_shows_nothing_new(replicated: Replicated) -> None:
    replicated.wait_until_read()
    replicated.second.pause()
    try:
        replicated.create("Seen at once")
        assert "Seen at once" in replicated.names()
    finally:
        replicated.second.resume()
    replicated.wait_until_read()
    assert "Seen at once" in replicated.names()


def test_what_nobody_recorded_is_seen_within_the_bound(replicated: Replicated) -> None:
    replicated.create("Before")
    replicated.wait_until_read()
    # Each of the web processes knows the standby's position only from its own requests; the kernel chooses who answers.
    for _ in range(20):
        replicated.names()
    replicated.second.pause()
    try:
        replicated.rename_unrecorded("Before", "After")
        began = time.monotonic()
        # Otherwise it is not the standby that is read, and the test shows nothing.
        assert "Before" in replicated.names()
        wait_until(lambda: "After" in replicated.names(), seconds=30, what="the change is seen")
        assert time.monotonic() - began < LAG + 2
    finally:
        replicated.second.resume()
    replicated.wait_until_read()


def test_everyone_sees_their_own_changes_under_load(replicated: Replicated) -> None:
    """With replay paused now and then, so that reads go to and fro."""
    ended, unseen = threading.Event(), []

    def create_and_look(number: int) -> None:
        known = replicated.installation.client
        client = Client(known.url, known.key)
        for turn in range(15):
            name = f"Own {number} {turn}"
            replicated.create(name, client)
            if name not in replicated.names(client):
                unseen.append(name)

    def disturb() -> None:
        while not ended.wait(0.3):
            replicated.second.pause()
            ended.wait(0.3)
            replicated.second.resume()

    disturber = threading.Thread(target=disturb)
    threads = [threading.Thread(target=create_and_look, args=(number,)) for number in range(4)]
    for thread in (disturber, *threads):
        thread.start()
    for thread in threads:
        thread.join(120)
    ended.set()
    disturber.join()
    assert unseen == []
    assert len([name for name in replicated.names() if name.startswith("Own ")]) == 60


def test_a_standby_that_is_away_fails_no_request(replicated: Replicated) -> None:
    replicated.wait_until_read()
    before = replicated.names()
    replicated.second.kill()
    try:
        for _ in range(5):
            assert replicated.names() == before
        assert replicated.installation.client.is_ready()
    finally:
        replicated.second.start_again()
    replicated.wait_until_read()
