"""`ingest_events`: its memory on a file of five million lines, and how long it keeps a web write waiting on SQLite."""

import datetime
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty

LINES = int(os.environ.get("BENCH_LINES", "5000000"))
SQLITE_LINES = 300_000
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "manage.py", "ingest_events", "-", "--json"]


def measure() -> Iterator[Ratio]:
    """Yield both. The lines come through a pipe: a file of a gigabyte would be read in the same pieces."""
    platform = Platform()
    empty()
    servers = [str(server.uuid) for server in platform.servers[:200]]
    began = time.perf_counter()
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for part in _lines(servers, LINES):
        process.stdin.write(part)
    process.stdin.close()
    answer = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, answer
    assert f'"accepted": {LINES}'.encode() in answer, answer
    yield Ratio(f"ingest_events of {LINES:,} lines, events/s", LINES / (time.perf_counter() - began))
    yield Ratio("its memory at the most, MiB", usage.ru_maxrss / 1024, 200, is_at_most=True)
    empty()
    yield from _sqlite()


def _lines(servers: list[str], number: int) -> Iterator[bytes]:
    chance = random.Random(7)
    start = datetime.datetime.now(datetime.UTC).timestamp() - 80_000
    for first in range(0, number, 1000):
        yield "".join(
            f'{{"id":"m{index}","type":"sent","at":{start + chance.random() * 70_000:.3f},'
            f'"server":"{servers[index % len(servers)]}",'
            f'"from":"news{index % 5000}@example.com","to":"reader{index}@example.net"}}\n'
            for index in range(first, min(first + 1000, number))
        ).encode()


def _sqlite() -> Iterator[Ratio]:
    """Write as a web request does while a file is ingested and folded by two other processes."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = kept | {"SLUICE_DATA_DIR": folder, "SLUICE_LOG_LEVEL": "WARNING"}
        command = [sys.executable, "-m", "tests.benchmarks.stats_sqlite", str(SQLITE_LINES)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    writes, longest, middle, rate = map(float, done.stdout.split()[-4:])
    yield Ratio("SQLite, ingest beside a worker that folds, events/s", rate)
    yield Ratio(f"SQLite, {writes:.0f} web writes meanwhile: the median waits, seconds", middle)
    yield Ratio("SQLite, the longest wait of a web write, seconds", longest, 1, is_at_most=True)
