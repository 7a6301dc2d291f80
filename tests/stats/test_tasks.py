"""The tasks and what they leave in the log of runs; delivered twice they change nothing."""

import datetime
from typing import Any

import pytest
import time_machine
from django.db.models import F
from kombu.exceptions import OperationalError

from config.celery import SCHEDULE, app
from stats import tasks
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.ingest import Reporter, ingest
from stats.models import Batch, Day, RollupRun, ServerCount
from stats.reports import health
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counted, event, random_events

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def runs() -> list[tuple[Any, ...]]:
    fields = ("kind", "outcome", "batches", "events", "rows", "lag_seconds", "detail")
    return list(RollupRun.objects.order_by("id").values_list(*fields))


def test_every_scheduled_task_exists() -> None:
    assert {task for _, task, _, _ in SCHEDULE if task.startswith("stats.")} == {
        f"stats.tasks.{name}"
        for name in (
            "decide_backoff",
            "decide_send_limits",
            "decide_warm_up",
            "fold_batches",
            "pass_on_batches",
            "roll_up_day",
            "audit_counts",
            "make_partitions",
            "drop_old_events",
            "prune_counts",
        )
    }
    app.loader.import_default_modules()
    assert all(task in app.tasks for _, task, _, _ in SCHEDULE)


def test_a_fold_delivered_twice_counts_once(acme: Tenant) -> None:
    events = [event(acme, id=str(number)) for number in range(3)]
    ingest(events, reporter=PLATFORM, now=NOW - datetime.timedelta(seconds=90))
    tasks.fold_batches.delay()
    tasks.fold_batches.delay()
    assert_counted(events)
    rows = sum(RollupRun.objects.values_list("rows", flat=True))
    # Five tiers of the server, four of the address, two each of domain, throttle, provider, server and provider, provider of
    # all servers, and the platform, one of the sender.
    assert rows == 22
    assert runs() == [("fold", "done", 1, 3, 22, 90.0, "")]
    assert str(RollupRun.objects.get()) == "Fold, 11 Mar 2026, 15:30:20 UTC"
    assert RollupRun.objects.get().duration_seconds == 0.0


def test_a_fold_that_fails_leaves_the_batches_open_and_says_why(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest([event(acme)], reporter=PLATFORM, now=NOW)

    def fail(*args: Any, **options: Any) -> int:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("stats.counts.fold.add_to_counts", fail)
        with pytest.raises(RuntimeError, match="the disk is full"):
            tasks.fold_batches.delay()
    assert runs() == [("fold", "failed", 0, 0, 0, None, "RuntimeError: the disk is full")]
    assert Batch.objects.get().folded_at is None
    assert health.problems(NOW) == ["Fold failed: RuntimeError: the disk is full"]
    tasks.fold_batches.delay()
    assert_counted([event(acme)])
    assert health.problems(NOW) == []


def test_a_day_is_closed_after_its_end(acme: Tenant, clock: Any) -> None:
    events = [event(acme), event(acme, id="tomorrow", at="2026-03-12T00:05:00Z")]
    ingest(events, reporter=PLATFORM, now=NOW)
    tasks.roll_up_day.delay()
    assert runs() == []
    clock.move_to(datetime.datetime(2026, 3, 12, 0, 10, tzinfo=datetime.UTC))
    tasks.roll_up_day.delay()
    tasks.roll_up_day.delay()
    midnight = datetime.datetime(2026, 3, 12, 0, 10, tzinfo=datetime.UTC)
    assert list(Day.objects.values_list("day", "completed_at", "checked_at")) == [
        (buckets.day_of(NOW), midnight, midnight),
        (buckets.day_of(NOW) + 1, None, None),
    ]
    assert [(kind, outcome, events_) for kind, outcome, _, events_, *_ in runs()] == [
        ("fold", "done", 2),
        ("close_day", "done", 1),
    ]
    # A late event is counted in its own day all the same.
    late = event(acme, id="late")
    ingest([late], reporter=PLATFORM, now=midnight)
    tasks.fold_batches.delay()
    assert_counted([*events, late], now=midnight)


def test_a_day_whose_counts_differ_is_not_stamped(acme: Tenant, clock: Any) -> None:
    ingest([event(acme)], reporter=PLATFORM, now=NOW)
    tasks.fold_batches.delay()
    ServerCount.objects.filter(grain=Grain.DAY).update(sent=F("sent") + 1)
    clock.shift(24 * HOUR)
    tasks.roll_up_day.delay()
    assert Day.objects.get().completed_at is None
    day = buckets.day_of(NOW)
    expected = f"server {acme.server.pk}, day {day}: sent -1\nserver {acme.server.pk}, month {2026 * 12 + 2}: sent +1"
    assert runs()[-1] == ("close_day", "different", 0, 1, 2, None, expected)


def test_the_nightly_audit_finds_what_differs(acme: Tenant) -> None:
    ingest(random_events([acme], 30, seed=1), reporter=PLATFORM, now=NOW)
    tasks.fold_batches.delay()
    tasks.audit_counts.delay()
    assert runs()[-1] == ("audit", "done", 0, 30, 0, None, "")
    assert set(Day.objects.values_list("checked_at", flat=True)) == {NOW}
    assert health.problems(NOW) == []
    ServerCount.objects.filter(grain=Grain.TOTAL).update(held=F("held") + 5)
    tasks.audit_counts.delay()
    detail = f"server {acme.server.pk}, total 0: held -5"
    assert runs()[-1] == ("audit", "different", 0, 30, 1, None, detail)
    assert health.problems(NOW) == ["The last audit found 1 counts that differ from their events."]


def test_lag_is_the_age_of_the_oldest_open_batch(acme: Tenant) -> None:
    assert health.lag(NOW) == health.Lag(0, 0, 0.0)
    ingest([event(acme)], reporter=PLATFORM, now=NOW - 2 * HOUR)
    ingest([event(acme, id="2"), event(acme, id="3")], reporter=PLATFORM, now=NOW - HOUR)
    assert health.lag(NOW) == health.Lag(2, 3, 7200.0)
    assert health.lag(NOW).is_too_long
    assert health.problems(NOW) == ["3 events wait to be counted, the oldest for 120 minutes."]
    tasks.fold_batches.delay()
    assert health.lag(NOW) == health.Lag(0, 0, 0.0)


def test_a_broker_that_is_away_does_not_fail_those_who_poke(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.fold_batches, "apply_async", refuse)
    tasks.request_fold()
