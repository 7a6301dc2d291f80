"""A year of events: what ingestion, the fold, the audit, retention and every read cost with it, against its last five weeks.

The last 35 days are written first and the database copied; then the 330 days before them are written. So both have the same
"now", and what is asked of them has the same answer for any time that both have. Turns go to the one and the other in
alternation; what is compared is the processor time of this process and of PostgreSQL's.

BENCH_YEAR=100000000 takes 100 million events: some 35 GB of disk below TMPDIR, and half an hour of two cores.
"""

import datetime
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from unittest import mock

from django.conf import settings
from django.db import connection

from core import memory
from stats.counts import audit, fold, retention
from stats.intake.ingest import Directory, Reporter, ingest
from stats.ledger import storage
from stats.models import Batch
from tests.benchmarks import year_reads
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, today
from tests.benchmarks.year_data import Copies, Year, counted

EVENTS = int(os.environ.get("BENCH_YEAR", "1000000"))
DAYS, RECENT_DAYS, WEEK = 365, 35, 7
SERVERS, ADDRESSES, POOLS = 200, 500, 50
MONTH = 30
A_TURN = 10_000
TURNS = 9
AUDITS = 6
MOST_GROWTH = 1.1
TABLES = (
    "servercount", "addresscount", "domaincount", "sendercount", "providercount", "serverprovidercount", "reasoncount",
    "addressreasoncount", "signaturecount", "throttlecount", "latencycount",
)  # fmt: skip


def measure() -> Iterator[Ratio]:
    """Yield how each cost with the year compares to that with its end alone."""
    memory.collect_rarely()
    platform = Platform(servers=SERVERS, addresses=ADDRESSES, pools=POOLS)
    empty()
    year = Year(platform, a_day=EVENTS // DAYS)
    year.name()
    reader = year_reads.Reader(platform)
    copies = Copies()
    end = today() + 1
    week, recent = range(end - WEEK, end), range(end - RECENT_DAYS, end - WEEK)
    seconds = _write(year, week)
    _repeat(year, week, recent)
    short = copies.make("recent")
    try:
        _repeat(year, week, range(end - DAYS, end - RECENT_DAYS))
        yield from _told(seconds, year)
        yield from _sizes(DAYS * year.a_day)
        pair = (short, copies.itself)
        yield from reader.compare(copies, pair, most=MOST_GROWTH)
        yield from _incoming(platform, copies, pair)
        yield from _audited(copies, pair, end - 4, end - 12)
        yield from _dropped(copies, pair)
    finally:
        copies.drop()
    empty()


def say(text: str) -> None:
    """Tell how far it is, beside the figures."""
    print(f"{datetime.datetime.now(datetime.UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _write(year: Year, days: range) -> tuple[float, float]:
    """Write some days and fold them; return the seconds of both."""
    began = time.perf_counter()
    for day in days:
        year.write(day)
    middle = time.perf_counter()
    assert fold.fold_all(now=_now()).events == len(days) * year.a_day
    say(f"a week: {middle - began:.0f} s written, {time.perf_counter() - middle:.0f} s folded")
    return middle - began, time.perf_counter() - middle


def _repeat(year: Year, week: range, days: range) -> None:
    """Let days be like those of the week, the latest first."""
    for number, day in enumerate(reversed(days)):
        year.repeat(week[number % len(week)], day, now=_now())
        if number % 10 == 9:
            say(f"{number + 1} of {len(days)} days")
    year.sum_up(days)
    with connection.cursor() as cursor:
        # As PostgreSQL does by itself in time.
        cursor.execute("VACUUM (ANALYZE)")


def _told(seconds: tuple[float, float], year: Year) -> Iterator[Ratio]:
    assert counted() == DAYS * year.a_day
    yield Ratio("events in the year", DAYS * year.a_day)
    yield Ratio(f"events in its last {RECENT_DAYS} days", RECENT_DAYS * year.a_day)
    for what, each in zip(("written by SQL into the ledger", "folded by the product"), seconds, strict=True):
        yield Ratio(f"its last week: {what}, events/s", WEEK * year.a_day / each)


def _sizes(events: int) -> Iterator[Ratio]:
    heap, indexes = storage.fetch(
        "SELECT sum(pg_table_size(inhrelid)), sum(pg_indexes_size(inhrelid)) FROM pg_inherits"
        " WHERE inhparent = 'stats_event'::regclass"
    )[0]
    yield Ratio("bytes an event: the table", float(heap) / events)
    yield Ratio("bytes an event: its two indexes", float(indexes) / events)
    sizes = {name: float(storage.fetch(f"SELECT pg_total_relation_size('stats_{name}')")[0][0]) for name in TABLES}
    rows = {name: storage.fetch(f"SELECT count(*) FROM stats_{name}")[0][0] for name in TABLES}
    for name, size in sizes.items():
        yield Ratio(f"bytes an event: {name}, {rows[name]:,} rows", size / events)
    yield Ratio("bytes an event: all counts", sum(sizes.values()) / events)
    yield Ratio("bytes an event: batches", storage.fetch("SELECT pg_total_relation_size('stats_batch')")[0][0] / events)
    yield Ratio("bytes an event: everything", (float(heap + indexes) + sum(sizes.values())) / events)


def _incoming(platform: Platform, copies: Copies, pair: tuple[str, str]) -> Iterator[Ratio]:
    """Ingest a batch and fold it, by turns; the first two turns of each learn names."""
    reporter, day = Reporter(), today()

    def turn(number: int, database: str, times: dict[str, list[float]]) -> None:
        events = platform.events(day, A_TURN, seed=number)
        with copies.timed(database, times["ingest() of 10,000 events"]):
            receipt = ingest(events, reporter=reporter, now=_now(), directory=Directory(reporter, now=_now()))
        assert receipt.accepted == A_TURN, receipt
        with copies.timed(database, times["fold of 10,000 events"]):
            folded = fold.fold_all(now=_now())
        assert folded.events == A_TURN

    yield from _compared(pair, turn, turns=TURNS, warm=2)


def _audited(copies: Copies, pair: tuple[str, str], *days: int) -> Iterator[Ratio]:
    """Audit a day that was folded, and one that was repeated."""

    def turn(number: int, database: str, times: dict[str, list[float]]) -> None:
        with copies.timed(database, times["audit of a day"]):
            found = audit.audit([days[number % len(days)]], now=_now())
        assert found.is_clean, str(found)
        assert found.events == EVENTS // DAYS

    yield from _compared(pair, turn, turns=AUDITS, warm=2)


def _dropped(copies: Copies, pair: tuple[str, str]) -> Iterator[Ratio]:
    """Drop the oldest month of each, which can be done once."""
    for database, days in zip(pair, (RECENT_DAYS, DAYS), strict=True):
        with copies.at(database), mock.patch.object(settings, "SLUICE_EVENT_RETENTION", days - MONTH - 1):
            before = Batch.objects.count()
            began = time.perf_counter()
            dropped = retention.drop_old_events(now=_now())
            middle = time.perf_counter()
            retention.prune(now=_now())
            end = time.perf_counter()
            assert (len(dropped.days), dropped.postponed) == (MONTH, []), dropped
            assert Batch.objects.count() < before
        yield Ratio(f"{days} days: the oldest 30 dropped, seconds", middle - began)
        yield Ratio(f"{days} days: counts and batches pruned after that, seconds", end - middle)


def _compared(
    pair: tuple[str, str], turn: Callable[[int, str, dict[str, list[float]]], None], *, turns: int, warm: int
) -> Iterator[Ratio]:
    taken: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in pair}
    for number in range(turns + warm):
        for database in pair if number % 2 else reversed(pair):
            turn(number, database, taken[database])
    for act in taken[pair[0]]:
        short, long = (taken[name][act][warm:] for name in pair)
        yield Ratio(f"{act}: milliseconds of processor with 35 days", statistics.median(short))
        yield Ratio(f"{act}: milliseconds of processor with the year", statistics.median(long))
        growth = statistics.median(b / a for a, b in zip(short, long, strict=True))
        yield Ratio(f"{act}: the year to 35 days", growth, MOST_GROWTH, is_at_most=True)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
