"""Events in: against one binary COPY of the same rows, bulk_create, and Postal's counters per message."""

import datetime
import http.client
import itertools
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import orjson
from django.db import connection, transaction

from core import memory
from core.audit import Actor
from stats.counts import fold, tiers
from stats.intake.ingest import MOST_EVENTS, Directory, Reporter, ingest
from stats.intake.tokens import make_ingest_token
from stats.ledger import storage, storing
from stats.ledger.row import COLUMNS, Row
from stats.models import Batch, Event
from tests.benchmarks import web
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, forget_events, today

ROWS = 1_000_000
ROUNDS = 3
BULK_ROWS = 50_000
PARSED = 500_000
OVER_HTTP = 200_000
PER_MESSAGE = 3_000
# By server, address, domain, sender, and address and provider.
WHO_SENT = tiers.SCOPES[:6]
NOW = datetime.datetime.now(datetime.UTC)


class Clock:
    seconds = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock = Clock()
    began = time.perf_counter()
    yield clock
    clock.seconds = time.perf_counter() - began


def measure() -> Iterator[Ratio]:
    """Yield what storing reaches of the limit. Rows are in the order in which they came; the COPY has them sorted."""
    platform, day = Platform(), today() - 1
    rows = list(platform.rows(day, ROWS, seed=1))
    copies, packed_copies, stores, again, bulks = [], [], [], [], []
    for _ in range(ROUNDS):
        copies.append(_copy(rows, day))
        packed_copies.append(_copy(rows, day, packed_before=True))
        bulks.append(_bulk_create(rows[:BULK_ROWS], day) * ROWS / BULK_ROWS)
        empty()
        stores.append(_store(rows))
        before = Event.objects.count(), Batch.objects.count()
        again.append(_store(rows))
        assert (Event.objects.count(), Batch.objects.count()) == before == (ROWS, ROWS // MOST_EVENTS)
    copy, store = statistics.median(copies), statistics.median(stores)
    yield Ratio("one binary COPY of 1 M rows, same table and indexes, rows/s", ROWS / copy)
    yield Ratio("the same, packed before the clock starts, rows/s", ROWS / statistics.median(packed_copies))
    yield Ratio("store(), 1 M rows by 10,000, rows/s", ROWS / store)
    yield Ratio("store() to that COPY", copy / store, 0.7)
    yield Ratio("store() to the COPY packed before", statistics.median(packed_copies) / store)
    yield Ratio("whole redelivery to the first delivery, time", statistics.median(again) / store, 2, is_at_most=True)
    yield Ratio("store() to bulk_create(ignore_conflicts=True)", statistics.median(bulks) / store, 5)
    yield from _end_to_end(platform, rows, day)
    yield from _against_counters(platform, rows)
    empty()


def _copy(rows: list[Row], day: int, *, packed_before: bool = False, before: Callable[[], None] = empty) -> float:
    before()
    storing.ensure_days([day], now=NOW)
    packed = list(storage.pack(sorted(rows), 1)) if packed_before else []
    with timed() as clock, storage.writing():
        storage.copy("stats_event", packed or storage.pack(sorted(rows), 1))
    return clock.seconds


def _store(rows: list[Row]) -> float:
    with timed() as clock:
        for batch in itertools.batched(rows, MOST_EVENTS):
            storing.store(batch, now=NOW)
    return clock.seconds


def _bulk_create(rows: list[Row], day: int) -> float:
    empty()
    storing.ensure_days([day], now=NOW)
    with timed() as clock:
        for batch in itertools.batched(rows, MOST_EVENTS):
            Event.objects.bulk_create(
                (
                    Event(key=uuid.UUID(bytes=row[0]), batch_id=1, **dict(zip(COLUMNS[1:], row[1:], strict=True)))
                    for row in batch
                ),
                ignore_conflicts=True,
                batch_size=5_000,
            )
    return clock.seconds


def _end_to_end(platform: Platform, rows: list[Row], day: int) -> Iterator[Ratio]:
    """One directory for many batches, as `ingest_events` has it; a request has one of its own.

    COPY and ingestion take turns, so that a machine whose speed drifts is as fast for both.
    """
    events = platform.events(day, PARSED, seed=2)
    # As a web process does, which never holds half a million events at once.
    memory.collect_rarely()
    empty()
    yield Ratio("ingest() the very first time: every sender is new, events/s", PARSED / _ingest(events))
    copies, ingestions = [], []
    for _ in range(ROUNDS):
        copies.append(_copy(rows, day, before=forget_events))
        ingestions.append(_ingest(events))
    limit, rate = ROWS / statistics.median(copies), PARSED / statistics.median(ingestions)
    yield Ratio("that COPY once more, in turn with what follows, rows/s", limit)
    yield Ratio("ingest() of parsed events by 10,000, events/s", rate)
    yield Ratio("ingest() to that COPY", rate / limit, 0.27)
    with web.serving("tests.benchmarks.settings") as client:
        for size, goal in ((10_000, 0.12), (1_000, None)):
            rate = _over_http(events[:OVER_HTTP], size, client.port)
            yield Ratio(f"POST /api/v1/events, NDJSON by {size:,}, one connection, events/s", rate)
            yield Ratio(f"POST /api/v1/events by {size:,} to that COPY", rate / limit, goal)


def _ingest(events: list[dict]) -> float:
    forget_events()
    reporter = Reporter()
    with timed() as clock:
        directory = Directory(reporter, now=NOW)
        for batch in itertools.batched(events, MOST_EVENTS):
            assert ingest(batch, reporter=reporter, now=NOW, directory=directory).accepted == len(batch)
    return clock.seconds


def _over_http(events: list[dict], size: int, port: int) -> float:
    key = make_ingest_token(name=f"bench {uuid.uuid4()}", actor=Actor.system()).key
    bodies = [b"\n".join(map(orjson.dumps, batch)) for batch in itertools.batched(events, size)]
    headers = {"X-Server-API-Key": key, "Content-Type": "application/x-ndjson", "Host": "localhost"}
    times = []
    for _ in range(ROUNDS):
        forget_events()
        connection_ = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with timed() as clock:
            for body in bodies:
                connection_.request("POST", "/api/v1/events", body, headers)
                answer = orjson.loads(connection_.getresponse().read())
                assert answer["status"] == "success", answer
                assert not answer["data"]["refused"], answer
        connection_.close()
        assert Event.objects.count() == len(events)
        times.append(clock.seconds)
    return len(events) / statistics.median(times)


def _against_counters(platform: Platform, rows: list[Row]) -> Iterator[Ratio]:
    """Store, deduplicate and fold by 100,000, against four upserts a message, each a transaction as Postal has them.

    The goal was set for the scopes of who sent what to whom. Reasons, throttling and latencies came later: reported beside it.
    """
    own_rate, rate_of_all = _stored_and_folded(rows, WHO_SENT), _stored_and_folded(rows, tiers.SCOPES)
    with connection.cursor() as cursor:
        for name in ("hour", "day", "month", "year"):
            cursor.execute(
                f"CREATE TEMPORARY TABLE bench_{name} (time integer, server bigint, sent bigint, PRIMARY KEY (time, server))"
            )
        with timed() as theirs:
            for row in rows[:PER_MESSAGE]:
                for name, minutes in (("hour", 60), ("day", 1440), ("month", 43_200), ("year", 525_600)):
                    with transaction.atomic():
                        cursor.execute(
                            f"INSERT INTO bench_{name} AS counted VALUES (%s, %s, 1)"
                            " ON CONFLICT (time, server) DO UPDATE SET sent = counted.sent + 1",
                            [row[1] // minutes, row[2]],
                        )
        for name in ("hour", "day", "month", "year"):
            cursor.execute(f"DROP TABLE bench_{name}")
    their_rate = PER_MESSAGE / theirs.seconds
    yield Ratio("store, deduplicate and fold who sent what by 100,000, events/s", own_rate)
    yield Ratio("store, deduplicate and fold all scopes by 100,000, events/s", rate_of_all)
    yield Ratio("four upserts a message (hour, day, month, year), messages/s", their_rate)
    yield Ratio("store, deduplicate and fold to four upserts a message", own_rate / their_rate, 100)
    yield Ratio("the same with all scopes", rate_of_all / their_rate)


def _stored_and_folded(rows: list[Row], scopes: Sequence[tiers.Scope]) -> float:
    """Return the events a second."""
    empty()
    some = rows[:500_000]
    with timed() as clock, mock.patch.object(tiers, "SCOPES", scopes):
        for part in itertools.batched(some, 100_000):
            _store(list(part))
            fold.fold_all(now=NOW)
    return len(some) / clock.seconds
