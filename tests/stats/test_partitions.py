"""Events of the far past share a partition by the month; what is promised of each day stays true of each day."""

import datetime
import re
import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from stats.counts import buckets, tiers
from stats.counts.audit import audit
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.counts.retention import Dropped, drop_old_events
from stats.intake.ingest import Receipt, Reporter, ingest
from stats.ledger import partitions, storage
from stats.ledger.partitions import Partition
from stats.models import Day, Event
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counted, event
from tests.stats.test_retention import elsewhere

pytestmark = [pytest.mark.storage, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_partitions")]

PLATFORM = Reporter()
FAR = buckets.day_number(datetime.date(2023, 5, 1))
LATER = NOW + datetime.timedelta(days=31)


def on(tenant: Tenant, day: int, **changes: str) -> dict[str, str]:
    at = buckets.start_of_day(day) + datetime.timedelta(hours=12)
    return event(tenant, **{"id": f"m{day}", "at": at.isoformat(), "ip": None, **changes})


def report(*events: dict[str, str], now: datetime.datetime = NOW) -> Receipt:
    receipt = ingest(events, reporter=PLATFORM, now=now)
    fold_all(now=now)
    return receipt


def test_the_far_past_is_kept_by_the_month_and_the_rest_by_the_day(acme: Tenant) -> None:
    today = buckets.day_of(NOW)
    # 61 days ago is the first that is far: 9 January of a month that is not.
    days = [FAR, FAR + 3, FAR + 30, FAR + 31, today - 62, today - 61, today - 60, today]
    events = [on(acme, day) for day in days]
    assert report(*events) == Receipt(accepted=8)
    if storage.is_postgresql():
        january = buckets.day_number(datetime.date(2026, 1, 1))
        assert partitions.existing() == [
            Partition(FAR, FAR + 31),
            Partition(FAR + 31, FAR + 61),
            Partition(january, today - 60),
            Partition(today - 60, today - 59),
            Partition(today, today + 1),
        ]
    assert report(*events) == Receipt(duplicates=8)
    assert audit(now=NOW).is_clean
    assert audit(now=NOW).days == days


def test_a_fold_reads_the_rows_of_its_batches_and_not_the_keys_of_their_days(acme: Tenant) -> None:
    """Days that the planner knows little of: it read the keys of a whole day beside 100 rows, again for each scope."""
    today = buckets.day_of(NOW)
    before = [on(acme, today, id=f"{number}") for number in range(400)]
    report(*before)
    new = [on(acme, today), on(acme, today - 1)]
    assert ingest(new, reporter=PLATFORM, now=NOW) == Receipt(accepted=2)
    with CaptureQueriesContext(connection) as queries:
        fold_all(now=NOW)
    folds = [
        query["sql"] for query in queries if query["sql"].startswith("INSERT INTO stats_") and " base " in query["sql"]
    ]
    # Noon is more than two hours ago, so nothing counts by the minute.
    assert len(folds) == len([scope for scope in tiers.SCOPES if scope.finest != Grain.MINUTE])
    if storage.is_postgresql():
        for sql in folds:
            plan = "\n".join(line for (line,) in storage.fetch(f"EXPLAIN {sql}"))
            scanned = set(re.findall(r"(?:on|using) (stats_event_\w+)", plan))
            assert {f"stats_event_{day}" for day in (today - 1, today)} <= scanned, plan
            assert not {name for name in scanned if name.endswith("_pkey")}, plan
    assert_counted([*before, *new])


@pytest.mark.server
def test_a_month_leaves_out_the_partitions_that_it_finds(acme: Tenant) -> None:
    """A database of before has one for each day."""
    if not storage.is_postgresql():
        pytest.skip("SQLite has no partitions")
    for day in (FAR + 9, FAR + 20):
        with transaction.atomic():
            partitions.create([day], now=buckets.start_of_day(day))
    assert report(*(on(acme, day) for day in range(FAR, FAR + 31))) == Receipt(accepted=31)
    assert partitions.existing() == [
        Partition(FAR, FAR + 9),
        Partition(FAR + 9, FAR + 10),
        Partition(FAR + 10, FAR + 20),
        Partition(FAR + 20, FAR + 21),
        Partition(FAR + 21, FAR + 31),
    ]


def test_a_month_goes_whole_and_its_counts_stay(acme: Tenant) -> None:
    events = [on(acme, day) for day in (FAR, FAR + 3, FAR + 30)]
    report(*events)
    assert drop_old_events(now=LATER) == Dropped(days=[FAR, FAR + 3, FAR + 30])
    assert partitions.existing() == []
    assert Event.objects.count() == 0
    assert not Day.objects.filter(removed_at=None).exists()
    assert [each.code for each in report(*events, now=LATER).refused] == ["day_closed"] * 3
    assert drop_old_events(now=LATER) == Dropped()
    assert_counted(events)
    # A day of that month that nothing had come for is a new one.
    late = on(acme, FAR + 5)
    assert report(late, now=LATER) == Receipt(accepted=1)
    assert audit(now=LATER).days == [FAR + 5]
    assert audit(now=LATER).is_clean
    assert_counted([*events, late])


def test_a_day_goes_though_others_of_its_month_stay(acme: Tenant, globex: Tenant) -> None:
    old = [on(acme, FAR), on(acme, FAR + 3)]
    report(*old)
    kept = on(acme, FAR + 9)
    report(kept, now=LATER)
    assert drop_old_events(now=LATER) == Dropped(days=[FAR, FAR + 3])
    assert list(Event.objects.values_list("minute", flat=True)) == [(FAR + 9) * 1440 + 720]
    assert audit(now=LATER).is_clean
    # Closed to acme, which was counted on it, and to nobody else, nor is the rest of the month.
    theirs = on(globex, FAR)
    receipt = report(*old, theirs, kept, on(acme, FAR + 10), now=LATER)
    assert (receipt.accepted, receipt.duplicates, [each.code for each in receipt.refused]) == (2, 1, ["day_closed"] * 2)
    assert audit(now=LATER).is_clean
    much_later = LATER + datetime.timedelta(days=31)
    assert drop_old_events(now=much_later) == Dropped(days=[FAR, FAR + 9, FAR + 10])
    assert partitions.existing() == []
    assert_counted([*old, kept, theirs, on(acme, FAR + 10)])


@pytest.mark.server
def test_a_month_whose_detach_was_interrupted_stays_closed_until_it_is_gone(acme: Tenant, globex: Tenant) -> None:
    if not storage.is_postgresql():
        pytest.skip("SQLite has no partitions")
    old = [on(acme, FAR), on(acme, FAR + 3)]
    report(*old)
    reads, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic():
            Event.objects.count()
            reads.set()
            assert may_end.wait(20)

    reader = elsewhere(read)
    assert reads.wait(20)
    assert drop_old_events(now=LATER) == Dropped(postponed=[FAR, FAR + 3])
    assert partitions.existing() == [Partition(FAR, FAR + 31, is_half_detached=True)]
    others = [on(globex, FAR), on(globex, FAR + 7)]
    assert [each.code for each in report(*others, now=LATER).refused] == ["day_closed"] * 2
    may_end.set()
    reader.join(20)
    assert drop_old_events(now=LATER).postponed == []
    assert partitions.existing() == []
    assert report(*others, now=LATER) == Receipt(accepted=2)
    assert audit(now=LATER).is_clean
    assert_counted([*old, *others])


@pytest.mark.server
@pytest.mark.parametrize("is_own", [True, False])
def test_dropping_leaves_no_setting_in_the_session_of_a_pooler(
    is_own: bool, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the session next would give up every lock after two seconds."""
    if not storage.is_postgresql():
        pytest.skip("it is of PostgreSQL")
    assert storage.has_own_session()
    monkeypatch.setattr(storage, "has_own_session", lambda: is_own)
    report(on(acme, FAR))
    [partition] = partitions.existing()
    with CaptureQueriesContext(connection) as queries:
        partitions.drop(partition)
    set_for_all = [each["sql"] for each in queries if re.match(r"(SET|RESET) (?!LOCAL)", each["sql"])]
    assert len(set_for_all) == (2 if is_own else 0)
    assert partitions.existing() == []
