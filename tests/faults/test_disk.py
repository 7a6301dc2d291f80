"""A full disk: SQLite cannot grow, no file can grow, and the broker's folder takes no message."""

import contextlib
import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import embedded as embedded_settings
from tests.faults.client import wait_until
from tests.faults.installation import Installation, running
from tests.faults.work import some_events
from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.live]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("disk")
    with running(folder, embedded=True, DJANGO_SETTINGS_MODULE="tests.faults.small_disk") as installation:
        yield installation


def assert_refused_until(installation: Installation, name: str, mend: Callable[[], object], *, reads: bool) -> None:
    """Until it is mended, what writes is refused and what reads is answered; then the same request is accepted.

    Without `reads` reading may be refused as clearly: where nobody has the database open, SQLite makes files to read it.
    """
    client = installation.client
    refused = None
    for number in range(2_000):
        refused = client.postal("events", some_events(installation, f"{name}{number}", 500))
        assert refused is not None
        if not refused.is_success:
            break
    assert refused is not None
    assert refused.is_unavailable, (refused.status, refused.body)
    read = client.postal("servers/list")
    assert read is not None
    assert read.is_success or (read.is_unavailable and not reads), (read.status, read.body)
    mend()
    accepted = client.postal("events", some_events(installation, f"{name}{number}", 500))
    assert accepted is not None
    assert accepted.body["data"] == {
        "accepted": 500,
        "duplicates": 0,
        "ignored": 0,
        "conflicts": [],
        "warnings": [],
        "refused": [],
    }
    assert client.is_ready()


def test_a_database_that_cannot_grow(embedded: Installation) -> None:
    var = Path(embedded.sluice.environment["SLUICE_DATA_DIR"])
    with contextlib.closing(sqlite3.connect(var / "sluice.sqlite3")) as database:
        size = database.execute("PRAGMA page_count").fetchone()[0]
    (var / "pages").write_text(str(size + 20))
    assert_refused_until(embedded, "pages", (var / "pages").unlink, reads=True)


def test_files_that_cannot_grow(embedded: Installation) -> None:
    """Also the log and the metrics: what cannot be logged or measured must not break what can be answered."""
    numbers = [embedded.sluice.web.pid, *embedded.web_workers()]
    before = {number: resource.prlimit(number, resource.RLIMIT_FSIZE) for number in numbers}
    for number, (_, hard) in before.items():
        resource.prlimit(number, resource.RLIMIT_FSIZE, (0, hard))

    def mend() -> None:
        for number, limits in before.items():
            resource.prlimit(number, resource.RLIMIT_FSIZE, limits)

    try:
        assert_refused_until(embedded, "files", mend, reads=False)
    finally:
        mend()
    assert embedded.web_workers() == numbers[1:]


def test_a_broker_that_takes_no_message_loses_no_event(embedded: Installation) -> None:
    """The poke fails, and is only a poke: its events are counted by the next."""
    program = (
        "import django, resource\n"
        "django.setup()\n"
        "from django.core.cache import cache\n"
        "from stats import tasks\n"
        "cache.add = lambda *_, **__: True\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "for limit in (0, 100):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))\n"
        "    tasks.request_fold()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "tasks.request_fold()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=panel.ROOT,
        env=embedded.sluice.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "fold_not_requested" in done.stderr, done.stderr
    queue = Path(embedded.sluice.environment["SLUICE_DATA_DIR"]) / "broker" / "queue"
    for message in queue.glob("*.msg"):
        json.loads(message.read_bytes())
    assert not list(queue.glob("*.draft"))
    # The broker's table was cut off, too: whoever starts next makes it anew.
    time.sleep(embedded_settings.BEING_WRITTEN + 1)
    worker = embedded.start_worker()

    def counted() -> int:
        answer = embedded.client.postal("servers/show", {"include_stats": True})
        assert answer is not None
        return int(answer.body["data"]["server"]["stats"]["messages_sent_today"])

    before = counted()
    accepted = embedded.client.postal("events", some_events(embedded, "poked", 10))
    assert accepted is not None
    assert accepted.is_success
    wait_until(lambda: counted() >= before + 10, seconds=120, what="the events are counted")
    assert worker.poll() is None, embedded.log_of("worker")[-3000:]
