"""How days are dropped, and what is never lost by it."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from stats.counts import buckets
from stats.counts.audit import audit
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.counts.retention import Dropped, drop_old_events, make_partitions, prune
from stats.intake.ingest import Receipt, Remark, Reporter, ingest
from stats.ledger import partitions, storage, storing
from stats.ledger.partitions import Partition
from stats.models import Batch, Day, Event, RollupRun, ServerCount
from tests.stats.conftest import NOW, Tenant, make_tenant
from tests.stats.events import assert_counted, event

# Dropping needs real transactions, and a partition cannot be detached in one.
pytestmark = [pytest.mark.storage, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_partitions")]

PLATFORM = Reporter()
OLD = "2026-01-10T12:00:00Z"
OLD_DAY = buckets.day_number(datetime.date(2026, 1, 10))
RECEIVED = datetime.datetime(2026, 1, 10, 13, tzinfo=datetime.UTC)
MONTH = datetime.timedelta(days=30)


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1")


def ingest_old(acme: Tenant, **changes: Any) -> dict[str, Any]:
    old = event(acme, at=OLD, **changes)
    assert ingest([old], reporter=PLATFORM, now=RECEIVED) == Receipt(accepted=1)
    fold_all(now=RECEIVED)
    # They were pruned long ago.
    ServerCount.objects.filter(grain=Grain.MINUTE).delete()
    return old


def has_place(day: int) -> bool:
    """Whether PostgreSQL has a partition for the day; on SQLite, whether there are events of it."""
    if storage.is_postgresql():
        return any(day in partition.days for partition in partitions.existing())
    return Event.objects.filter(minute__range=(day * 1440, day * 1440 + 1439)).exists()


def elsewhere(act: Callable[[], None]) -> threading.Thread:
    """Run in a thread with a connection of its own."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_old_day_goes_and_its_counts_stay(acme: Tenant) -> None:
    events = [ingest_old(acme), event(acme, id="new")]
    ingest(events[1:], reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    assert drop_old_events(now=NOW) == Dropped(days=[OLD_DAY])
    assert not has_place(OLD_DAY)
    assert list(Event.objects.values_list("minute", flat=True)) == [buckets.minute_of(NOW)]
    day = Day.objects.get(day=OLD_DAY)
    assert (day.dropped_at, day.removed_at) == (NOW, NOW)
    prune(now=NOW)
    assert_counted(events)
    assert audit(now=NOW).is_clean
    assert drop_old_events(now=NOW) == Dropped()


def test_an_event_for_a_dropped_day_is_refused_and_counts_nothing(acme: Tenant) -> None:
    old = ingest_old(acme)
    drop_old_events(now=NOW)
    late = event(acme, id="late", at=OLD)
    message = "The server's events of this day are no longer held, so this could be a replay of one of them"
    assert ingest([late, old, event(acme)], reporter=PLATFORM, now=NOW) == Receipt(
        accepted=1, refused=[Remark(0, "day_closed", message), Remark(1, "day_closed", message)]
    )
    fold_all(now=NOW)
    prune(now=NOW)
    assert_counted([old, event(acme)])
    assert not has_place(OLD_DAY)


@pytest.mark.parametrize(
    ("age", "goes"),
    [
        (MONTH, False),
        (MONTH + datetime.timedelta(hours=10, minutes=59), False),
        (MONTH + datetime.timedelta(days=1), True),
    ],
)
def test_a_day_stays_until_it_is_older_than_the_retention(acme: Tenant, age: datetime.timedelta, goes: bool) -> None:
    ingest_old(acme)
    assert drop_old_events(now=RECEIVED + age) == Dropped(days=[OLD_DAY] if goes else [])


def test_a_day_stays_while_events_come_for_it(acme: Tenant) -> None:
    ingest_old(acme)
    late = NOW - datetime.timedelta(days=29)
    ingest([event(acme, id="late", at=OLD)], reporter=PLATFORM, now=late)
    fold_all(now=late)
    assert drop_old_events(now=NOW) == Dropped()
    assert drop_old_events(now=NOW + datetime.timedelta(days=2)) == Dropped(days=[OLD_DAY])


def test_a_day_with_an_open_batch_stays(acme: Tenant) -> None:
    old = event(acme, at=OLD)
    newer = event(acme, id="newer", at="2026-01-12T12:00:00Z")
    ingest([old, newer], reporter=PLATFORM, now=RECEIVED + datetime.timedelta(days=2))
    assert drop_old_events(now=NOW) == Dropped(postponed=[OLD_DAY, OLD_DAY + 2])
    fold_all(now=NOW)
    assert drop_old_events(now=NOW) == Dropped(days=[OLD_DAY, OLD_DAY + 2])
    assert_counted([old, newer])


def test_what_an_earlier_run_began_is_finished(acme: Tenant) -> None:
    ingest_old(acme)
    Day.objects.filter(day=OLD_DAY).update(dropped_at=RECEIVED)
    assert drop_old_events(now=NOW) == Dropped(days=[OLD_DAY])
    assert not has_place(OLD_DAY)
    day = Day.objects.get(day=OLD_DAY)
    assert (day.dropped_at, day.removed_at) == (RECEIVED, NOW)


@pytest.mark.server
def test_a_drop_during_an_open_ingest_waits_for_the_next_run(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ingester has looked whether the day is held, and has not committed yet."""
    if not storage.is_postgresql():
        pytest.skip("on SQLite the drop itself waits until the ingester has committed")
    old = ingest_old(acme)
    holds, may_go_on = threading.Event(), threading.Event()
    insert = storage.insert_events

    def slow_insert(*args: Any) -> int:
        holds.set()
        assert may_go_on.wait(20)
        return insert(*args)

    monkeypatch.setattr(storage, "insert_events", slow_insert)
    late = event(acme, id="late", at=OLD)
    receipts = []
    # The note of its coming is already an hour old, so that only the lock speaks for the day.
    monkeypatch.setattr(storing, "ensure_days", lambda days, now: None)
    ingester = elsewhere(lambda: receipts.append(ingest([late], reporter=PLATFORM, now=NOW)))
    assert holds.wait(20)
    assert drop_old_events(now=NOW) == Dropped(postponed=[OLD_DAY])
    may_go_on.set()
    ingester.join(20)
    assert receipts == [Receipt(accepted=1)]
    fold_all(now=NOW)
    # What was counted by hours of rules two months ago is past its keeping.
    prune(now=NOW)
    assert_counted([old, late])
    assert drop_old_events(now=NOW) == Dropped(days=[OLD_DAY])
    assert_counted([old, late])


@pytest.mark.server
def test_a_detach_that_was_interrupted_is_finished(acme: Tenant) -> None:
    """Somebody reads for longer than the drop waits: the partition is left half detached, and the next run ends it."""
    if not storage.is_postgresql():
        pytest.skip("SQLite has no partitions")
    ingest_old(acme)
    reads, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic():
            Event.objects.count()
            reads.set()
            assert may_end.wait(20)

    reader = elsewhere(read)
    assert reads.wait(20)
    assert drop_old_events(now=NOW) == Dropped(postponed=[OLD_DAY])
    assert storage.fetch("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == [(1,)]
    assert Day.objects.get(day=OLD_DAY).removed_at is None
    may_end.set()
    reader.join(20)
    assert drop_old_events(now=NOW) == Dropped(days=[OLD_DAY])
    assert storage.fetch(f"SELECT to_regclass('stats_event_{OLD_DAY}')") == [(None,)]


@pytest.mark.server
def test_two_ingesters_may_need_the_same_new_day_at_once(acme: Tenant) -> None:
    at_once = threading.Barrier(4)
    receipts: list[Receipt] = []

    def report(number: int) -> None:
        at_once.wait(20)
        events = [event(acme, id=f"{number}-{day}", at=f"2026-02-{day:02d}T12:00:00Z") for day in range(1, 9)]
        receipts.append(ingest(events, reporter=PLATFORM, now=NOW))

    threads = [elsewhere(lambda number=number: report(number)) for number in range(4)]  # type: ignore[misc]
    for thread in threads:
        thread.join(60)
    assert receipts == [Receipt(accepted=8)] * 4
    assert Day.objects.count() == 8
    assert Batch.objects.count() == 4


def test_partitions_are_made_for_a_week_ahead() -> None:
    make_partitions(now=NOW)
    make_partitions(now=NOW)
    today = buckets.day_of(NOW)
    made = [Partition(day, day + 1) for day in range(today - 1, today + 8)]
    assert partitions.existing() == (made if storage.is_postgresql() else [])
    assert Day.objects.count() == 0


def test_partitions_that_were_never_used_go_too() -> None:
    make_partitions(now=RECEIVED)
    drop_old_events(now=NOW)
    assert partitions.existing() == []


def test_pruning_takes_fine_counts_finished_batches_and_old_runs(acme: Tenant) -> None:
    old = ingest_old(acme)
    newer = event(acme, id="newer", at=NOW.isoformat())
    ingest([newer], reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    drop_old_events(now=NOW)
    RollupRun.objects.filter(pk=RollupRun.objects.earliest("id").pk).update(started_at=NOW - MONTH - MONTH)
    prune(now=NOW)
    assert Batch.objects.count() == 1
    assert RollupRun.objects.count() == 1
    fine = ServerCount.objects.filter(grain__lte=Grain.HOUR).order_by("grain", "bucket")
    assert list(fine.values_list("grain", "bucket")) == [
        (Grain.MINUTE, buckets.minute_of(NOW)),
        (Grain.HOUR, OLD_DAY * 24 + 12),
        (Grain.HOUR, buckets.hour_of(NOW)),
    ]
    later = NOW + datetime.timedelta(hours=2, minutes=1)
    prune(now=later)
    assert not ServerCount.objects.filter(grain=Grain.MINUTE).exists()
    prune(now=NOW + datetime.timedelta(days=91))
    assert not ServerCount.objects.filter(grain=Grain.HOUR).exists()
    assert audit(now=NOW + datetime.timedelta(days=91)).is_clean
    days = ServerCount.objects.filter(grain=Grain.DAY).order_by("bucket").values_list("bucket", "sent")
    assert list(days) == [(OLD_DAY, 1), (buckets.day_of(NOW), 1)]
    assert old != newer
