"""The audit finds what was broken, whatever it is, and the rebuild mends it."""

import datetime
import re

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from stats.counts import buckets
from stats.counts.audit import Difference, EventsMissing, audit, rebuild
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.ledger import storage
from stats.ledger.storing import new_day
from stats.models import (
    AddressCount,
    Batch,
    Day,
    DomainCount,
    Event,
    PlatformCount,
    PlatformProviderCount,
    ProviderCount,
    SenderCount,
    ServerCount,
)
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counted, event, random_events

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
TODAY = buckets.day_of(NOW)


@pytest.fixture
def events(acme: Tenant, globex: Tenant) -> list[dict]:
    """Folded events of several months, so that each tier has several rows."""
    some = random_events([acme, globex], 300, seed=7, days_ago=(0, 1, 5, 12, 75))
    ingest(some, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    return some


def test_it_finds_nothing_where_nothing_is_wrong(events: list[dict]) -> None:
    found = audit(now=NOW)
    assert (found.is_clean, found.events, found.differences, str(found)) == (True, 300, [], "")
    assert found.days == sorted(Day.objects.values_list("day", flat=True))


def test_it_does_not_mind_batches_that_are_still_open(events: list[dict], acme: Tenant) -> None:
    ingest(random_events([acme], 50, seed=8), reporter=PLATFORM, now=NOW)
    found = audit(now=NOW)
    assert (found.is_clean, found.events) == (True, 300)


@pytest.mark.parametrize(
    ("counts", "grain"),
    [
        (ServerCount, Grain.MINUTE),
        (ServerCount, Grain.HOUR),
        (ServerCount, Grain.DAY),
        (ServerCount, Grain.MONTH),
        (ServerCount, Grain.TOTAL),
        (AddressCount, Grain.DAY),
        (AddressCount, Grain.MONTH),
        (AddressCount, Grain.YEAR),
        (AddressCount, Grain.TOTAL),
        (DomainCount, Grain.DAY),
        (DomainCount, Grain.MONTH),
        (SenderCount, Grain.DAY),
        (ProviderCount, Grain.DAY),
        (PlatformCount, Grain.HOUR),
        (PlatformCount, Grain.DAY),
        (PlatformProviderCount, Grain.HOUR),
        (PlatformProviderCount, Grain.DAY),
    ],
)
def test_it_finds_and_mends_a_wrong_count_in_every_tier(
    events: list[dict], acme: Tenant, counts: type[ServerCount], grain: Grain
) -> None:
    recent = [event(acme, id=f"recent {number}", at=NOW.isoformat()) for number in range(3)]
    ingest(recent, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    for how in ("too much", "too little", "gone", "foreign"):
        # Each begins with counts that are right.
        with transaction.atomic():
            break_a_count(counts, grain, how)
            found = audit(now=NOW)
            assert not found.is_clean, how
            assert found.missing_events == {}, how
            assert grain in {difference.grain for difference in found.differences}, how
            assert rebuild(now=NOW) > 0, how
            assert audit(now=NOW).is_clean, how
            assert_counted([*events, *recent])
            transaction.set_rollback(True)


def break_a_count(counts: type[ServerCount], grain: Grain, how: str) -> None:
    rows = counts.objects.filter(grain=grain)
    row = rows.order_by("-bucket").first()
    assert row is not None
    match how:
        case "too much":
            rows.filter(pk=row.pk).update(bounced=F("bounced") + 3)
        case "too little":
            rows.filter(pk=row.pk).update(held=F("held") - 2)
        case "gone":
            rows.filter(pk=row.pk).delete()
        case "foreign":
            own = {field.attname for field in counts._meta.pk.fields} - {"grain", "bucket"}
            # The platform has one row of a bucket: a foreign one is of an hour, or a stored day, without events.
            empty = set(range(row.bucket - 30, row.bucket)) - set(rows.values_list("bucket", flat=True))
            if grain == Grain.DAY:
                Day.objects.bulk_create((new_day(day, NOW) for day in empty), ignore_conflicts=True)
            bucket = row.bucket if own else max(empty)
            counts.objects.create(grain=grain, bucket=bucket, sent=1, **dict.fromkeys(own, 30_000))


def test_it_says_what_differs(events: list[dict], acme: Tenant) -> None:
    row = ServerCount.objects.get(grain=Grain.TOTAL, server_id=acme.server.pk)
    ServerCount.objects.filter(pk=row.pk).update(sent=F("sent") + 2, spam=F("spam") - 1)
    found = audit(now=NOW)
    assert found.differences == [Difference("server", Grain.TOTAL, 0, (acme.server.pk,), {"sent": -2, "spam": 1})]
    assert str(found) == f"server {acme.server.pk}, total 0: sent -2, spam +1"


def test_it_shows_the_first_and_counts_the_rest(events: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stats.counts.audit._MOST_SHOWN", 4)
    SenderCount.objects.update(sent=F("sent") + 1)
    found = audit(now=NOW)
    rows = SenderCount.objects.count()
    assert rows > 4
    assert (found.differing, len(found.differences)) == (rows, 4)
    assert str(found).endswith(f"and {rows - 4} more")


def test_it_finds_a_lost_event_and_does_not_forget_it(events: list[dict]) -> None:
    lost = Event.objects.order_by("key").first()
    Event.objects.filter(key=lost.key).delete()
    found = audit(now=NOW)
    assert found.missing_events == {lost.batch_id: 1}
    assert found.differing > 0
    assert f"batch {lost.batch_id} lacks 1 events" in str(found)
    with pytest.raises(EventsMissing, match="1 events are gone"):
        rebuild(now=NOW)
    assert_counted(events)
    assert rebuild(now=NOW, even_if_missing=True) > 0
    assert_counted([each for each in events if each["id"] != _identifier(events, lost)])


def _identifier(events: list[dict], lost: Event) -> str:
    at = buckets.EPOCH + datetime.timedelta(milliseconds=lost.key.int >> 80)
    (identifier,) = [each["id"] for each in events if datetime.datetime.fromisoformat(each["at"]) == at]
    return identifier


def test_it_passes_over_days_that_were_dropped(events: list[dict]) -> None:
    gone = Day.objects.order_by("day").first()
    Event.objects.filter(minute__lt=(gone.day + 1) * 1440).delete()
    Day.objects.filter(day=gone.day).update(dropped_at=NOW, removed_at=NOW)
    found = audit(now=NOW)
    assert found.is_clean
    assert gone.day not in found.days
    assert rebuild(now=NOW) == 0
    assert_counted(events)


def test_it_checks_and_mends_the_days_asked_for(events: list[dict]) -> None:
    ServerCount.objects.filter(grain=Grain.DAY).update(sent=F("sent") + 1)
    assert [each.bucket for each in audit([TODAY - 5], now=NOW).differences if each.grain == Grain.DAY] == [
        TODAY - 5
    ] * 2
    rebuild([TODAY - 5], now=NOW)
    assert not [each for each in audit([TODAY - 5], now=NOW).differences if each.grain == Grain.DAY]
    assert not audit(now=NOW).is_clean


def test_it_leaves_fine_counts_alone_that_are_past_their_keeping(events: list[dict]) -> None:
    """What the pruning has taken, or is about to take, is no difference."""
    later = NOW + datetime.timedelta(days=100)
    ServerCount.objects.filter(grain__in=[Grain.MINUTE, Grain.HOUR]).delete()
    assert audit(now=later).is_clean
    assert rebuild(now=later) == 0


def test_a_batch_with_nothing_folded_is_no_loss(acme: Tenant) -> None:
    ingest([event(acme)], reporter=PLATFORM, now=NOW)
    Event.objects.all().delete()
    assert Batch.objects.get().folded_at is None
    assert audit(now=NOW).is_clean


def test_months_and_years_are_compared_with_the_days_and_months_in_them(events: list[dict]) -> None:
    """Not with all that were ever counted: an audit of a day would cost more with each day before it."""
    with CaptureQueriesContext(connection) as queries:
        assert audit([TODAY], now=NOW).is_clean
    finer = [
        query["sql"]
        for query in queries
        if " AS both_sides" in query["sql"] and " FROM stats_event" not in query["sql"]
    ]
    months = [sql for sql in finer if "JOIN stats_day" in sql]
    years = [sql for sql in finer if "bucket / 12 AS bucket" in sql]
    assert (len(months), len(years)) == (3, 1)
    for sql in [*months, *years]:
        if storage.is_postgresql():
            with transaction.atomic():
                storage.execute("SET LOCAL enable_seqscan = off")
                plan = "\n".join(line for (line,) in storage.fetch(f"EXPLAIN {sql}"))
            assert re.search(r"Index Cond: \(\(grain = [34]\) AND \(bucket >= \d+\) AND \(bucket < \d+\)", plan), plan
        else:
            plan = "\n".join(line for *_, line in storage.fetch(f"EXPLAIN QUERY PLAN {sql}"))
            assert "(grain=? AND bucket>? AND bucket<?)" in plan, plan
