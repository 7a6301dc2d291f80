"""`python -m tests.stats.faults.run KILLS STOPS SEED`: the rounds of killing on the database of the environment."""

import contextlib
import datetime
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import django
import orjson

django.setup()

from django.db import connection  # noqa: E402 - Django must be set up first

from ippools.models import IPAddress  # noqa: E402
from stats.counts.audit import audit  # noqa: E402
from stats.counts.fold import fold_all  # noqa: E402
from stats.models import Batch, Event  # noqa: E402
from tests.stats.conftest import NOW, Tenant, make_tenant  # noqa: E402
from tests.stats.events import random_events  # noqa: E402
from tests.stats.faults import servers, stages  # noqa: E402
from tests.stats.recount import counted, recount  # noqa: E402

SECONDS = 120
NEW_BATCHES = 12
EVENTS_A_BATCH = 80


class Child:
    """A process that ingests or folds, and what it says."""

    def __init__(self, lines: "queue.Queue[tuple[Child, str]]", *args: str) -> None:
        command = [sys.executable, "-m", "tests.stats.faults.child", *args]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines = lines
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.append(line)
            self._lines.put((self, line.strip()))
        self._lines.put((self, "ended"))

    @property
    def said(self) -> str:
        """The end of what it said, complaints included."""
        return "".join(self._said)[-3000:]

    def kill(self) -> None:
        self.process.kill()
        self._gone()

    def end(self) -> int:
        """Tell it to end, and return its status."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("end\n")
            self.process.stdin.flush()
        return self._gone()

    def _gone(self) -> int:
        status = self.process.wait(SECONDS)
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        return status


class Run:
    """Rounds on one database: in each an ingester and a folder run side by side until one is at the wanted stage."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.seed, self.folder = seed, folder
        self.tenants = [make_tenant("Acme", "192.0.2.1", "192.0.2.2"), make_tenant("Globex", "198.51.100.1")]
        self.sent: list[dict[str, Any]] = []
        self.waiting: dict[int, list[dict[str, Any]]] = {}
        self.hit: Counter[str] = Counter()
        self.numbers = 0

    def round(self, stage: str, *, stop: bool = False) -> None:
        self._add_batches(self.tenants)
        path = self.folder / "batches.json"
        path.write_bytes(orjson.dumps(list(self.waiting.items())))
        lines: queue.Queue[tuple[Child, str]] = queue.Queue()
        is_ingest = stage in stages.INGEST
        occurrence = str(self.chance.randint(1, 6) if is_ingest else self.chance.randint(1, 2))
        nowhere = ("nowhere", "1")
        wanted = (stage, occurrence)
        ingester = Child(lines, "ingest", NOW.isoformat(), *(wanted if is_ingest else nowhere), str(path))
        folder = Child(lines, "fold", NOW.isoformat(), *(nowhere if is_ingest else wanted))
        victim, other = (ingester, folder) if is_ingest else (folder, ingester)
        self._until(victim, lines, f"at {stage}")
        self.hit[stage] += 1
        if stop:
            self._stop_database(victim, other)
        else:
            victim.kill()
            assert other.end() == 0, other.said
        self._note(lines)

    def _until(self, victim: Child, lines: "queue.Queue[tuple[Child, str]]", wanted: str) -> None:
        while True:
            child, line = lines.get(timeout=SECONDS)
            if line.startswith("ack "):
                del self.waiting[int(line.split()[1])]
            elif child is victim:
                if line == wanted:
                    return
                assert line != "ended", f"It ended before it was {wanted}: {victim.said}"

    def _note(self, lines: "queue.Queue[tuple[Child, str]]") -> None:
        """Read what was said until the end: what was acknowledged before the kill must never be sent again."""
        while not lines.empty():
            _, line = lines.get()
            if line.startswith("ack "):
                del self.waiting[int(line.split()[1])]

    def _stop_database(self, victim: Child, other: Child) -> None:
        """Both processes lose the database at once, and end with its error."""
        connection.close()
        servers.stop_at_once(self.folder)
        for child in (victim, other):
            child.end()
        servers.start_again(self.folder, os.environ["DATABASE_URL"])

    def _add_batches(self, tenants: list[Tenant]) -> None:
        """Add new batches; some of their events were sent before, as by a collector that is not sure."""
        for _ in range(NEW_BATCHES):
            self.numbers += 1
            seed = self.seed * 10_000 + self.numbers
            events = random_events(tenants, EVENTS_A_BATCH, seed=seed, days_ago=(0, 0, 0, 1, 9))
            again = self.chance.sample(self.sent, min(len(self.sent), 3)) if self.chance.random() < 0.3 else []
            self.sent += events
            self.waiting[self.numbers] = events + again

    def finish(self) -> None:
        """Deliver what is still waiting, fold what is open, and hold everything against a recount of what was sent."""
        lines: queue.Queue[tuple[Child, str]] = queue.Queue()
        path = self.folder / "batches.json"
        path.write_bytes(orjson.dumps(list(self.waiting.items())))
        ingester = Child(lines, "ingest", NOW.isoformat(), "nowhere", "1", str(path))
        assert ingester.end() == 0, ingester.said
        self._note(lines)
        assert not self.waiting
        fold_all(now=NOW, wait=True)
        expected = recount(
            self.sent,
            hours_from=NOW - datetime.timedelta(days=90),
            minutes_from=(NOW - datetime.timedelta(hours=2)).replace(second=0, microsecond=0),
        )
        assert Event.objects.count() == len(self.sent), "events were lost, or stored twice"
        assert sum(Batch.objects.values_list("event_count", flat=True)) == len(self.sent)
        assert counted(dict(IPAddress.objects.values_list("pk", "ipv4"))) == expected, (
            "the counts are not those of the events"
        )
        assert audit(now=NOW).is_clean


def main(kills: int, stops: int, seed: int) -> None:
    run = Run(seed, Path(os.environ.get(servers.FOLDER) or tempfile.mkdtemp()))
    every = [*stages.INGEST, *stages.FOLD]
    order: list[str] = []
    while len(order) < kills:
        run.chance.shuffle(every)
        order += every
    stop_rounds = set(run.chance.sample(range(kills), min(stops, kills)))
    for number, stage in enumerate(order[:kills]):
        run.round(stage, stop=number in stop_rounds)
        print("!" if number in stop_rounds else ".", end="", flush=True)
    run.finish()
    print(f"\n{kills} rounds, {len(run.sent):,} events: every count equals the recount, and the audit is empty.")
    for stage in sorted(run.hit):
        print(f"  {run.hit[stage]:3} × {stage}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
