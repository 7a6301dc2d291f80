"""Retention: raw events and fine counts are dropped after a time; days and coarser counts are kept."""

import datetime
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q

from stats.counts import buckets, tiers
from stats.counts.buckets import Grain
from stats.counts.fold import first_kept_hour, first_kept_minute
from stats.intake import refusals, reported_names, source_counts
from stats.ledger import keys, outbox, partitions, storage, throttle_buckets
from stats.ledger.database import IS_APART, atomic
from stats.ledger.partitions import Partition
from stats.ledger.storing import new_day
from stats.models import Batch, Day, RollupRun

logger = structlog.get_logger(__name__)

DAYS_AHEAD = 7
RUNS_KEPT = datetime.timedelta(days=30)


@dataclass(slots=True)
class Dropped:
    """The dropped days, and days that were due but in use."""

    days: list[int] = field(default_factory=list)
    postponed: list[int] = field(default_factory=list)


def make_partitions(*, now: datetime.datetime) -> None:
    """Create the partitions from yesterday to a week ahead, so that ingesters need not."""
    today = buckets.day_of(now)
    with atomic():
        partitions.create(range(today - 1, today + DAYS_AHEAD + 1), now=now)


def drop_old_events(*, now: datetime.datetime) -> Dropped:
    """Drop each day that is older than SLUICE_EVENT_RETENTION, for which nothing has come in that time, and that has no
    open batch. What is in use is left to the next run, which also finishes what an earlier one began."""
    dropped = Dropped()
    oldest = buckets.day_of(now) - settings.SLUICE_EVENT_RETENTION
    _adopt_empty_partitions(oldest)
    due = Q(dropped_at=None, day__lt=oldest, received_at__lt=now - _retention())
    closed: list[int] = []
    for day in Day.objects.filter(due | Q(dropped_at__isnull=False, removed_at=None)).order_by("day"):
        (closed if day.dropped_at or _close(day.day, due, now) else dropped.postponed).append(day.day)
    # First the partitions that go whole, so that few rows are deleted one by one.
    went = _drop_shared_partitions(now)
    for each in closed:
        is_gone = went[each] if each in went else _remove(each, now)
        (dropped.days if is_gone else dropped.postponed).append(each)
    dropped.postponed.sort()
    return dropped


def prune(*, now: datetime.datetime) -> None:
    """Delete counts by minute and hour that are no longer kept, batches whose events are gone, and old runs
    and refusals."""
    for scope in tiers.SCOPES:
        if Grain.MINUTE in scope.grains:
            storage.delete(scope.table, f"grain = {Grain.MINUTE:d} AND bucket < {first_kept_minute(now):d}")
        if Grain.HOUR in scope.grains:
            storage.delete(scope.table, f"grain = {Grain.HOUR:d} AND bucket < {first_kept_hour(now, scope):d}")
    oldest = Day.objects.filter(removed_at=None).order_by("day").values_list("day", flat=True).first()
    gone = Batch.objects.exclude(folded_at=None)
    if oldest is not None:
        gone = gone.filter(greatest_key__lt=keys.least_key(oldest))
    gone.delete()
    RollupRun.objects.filter(started_at__lt=now - RUNS_KEPT).delete()
    refusals.prune(now=now)
    source_counts.prune(now=now)
    reported_names.prune(now=now)
    throttle_buckets.prune(now=now)
    if IS_APART:
        outbox.prune(now=now)


def _retention() -> datetime.timedelta:
    return datetime.timedelta(days=settings.SLUICE_EVENT_RETENTION)


def _close(day: int, due: Q, now: datetime.datetime) -> bool:
    """Close the day to events; False if an ingester uses it, it is no longer due, or a batch in it waits to be counted or
    passed on.

    Ingesters hold the day from before they look whether it is dropped until they have committed.
    """
    first, end = keys.least_key(day), keys.least_key(day + 1)
    with atomic():
        if not storage.try_to_take_day(day):
            return False
        if Batch.objects.filter(folded_at=None, least_key__lt=end, greatest_key__gte=first).exists():
            return False
        if IS_APART and outbox.waits_between(first, end):
            return False
        return bool(Day.objects.filter(due, day=day).update(dropped_at=now))


def _remove(day: int, now: datetime.datetime) -> bool:
    try:
        partitions.drop_day(day)
    except DatabaseError as error:
        logger.warning("events_not_dropped", day=str(buckets.date_of(day)), cause=str(error))
        return False
    Day.objects.filter(day=day).update(removed_at=now)
    return True


def _drop_shared_partitions(now: datetime.datetime) -> dict[int, bool]:
    """Drop the partitions of several days that are all dropped; return of each of these days whether its events are gone.

    Where they are not, the partition may be half detached: the day stays closed, and the next run ends it.
    """
    went: dict[int, bool] = {}
    for partition in partitions.existing():
        if partition.is_of_a_day or not _close_all(partition, now):
            continue
        is_gone = True
        try:
            partitions.drop(partition)
        except DatabaseError as error:
            logger.warning("events_not_dropped", partition=partition.name, cause=str(error))
            is_gone = False
        else:
            Day.objects.filter(day__range=(partition.first, partition.end - 1)).update(removed_at=now)
        went |= dict.fromkeys(partition.days, is_gone)
    return went


def _close_all(partition: Partition, now: datetime.datetime) -> bool:
    """Let none of the partition's days be opened again until it is gone; False where one is held."""
    with atomic():
        partitions.lock()
        days = Day.objects.filter(day__range=(partition.first, partition.end - 1))
        if days.filter(dropped_at=None).exists():
            return False
        # Also those that nothing has come for.
        Day.objects.bulk_create(
            (new_day(day, buckets.start_of_day(day), dropped_at=now) for day in partition.days), ignore_conflicts=True
        )
        days.update(removed_at=None)
    return True


def _adopt_empty_partitions(oldest: int) -> None:
    """Create Day rows for unused partitions, so that they are dropped like the others."""
    known = set(Day.objects.values_list("day", flat=True))
    ahead = [each.first for each in partitions.existing() if each.is_of_a_day and each.first < oldest]
    unused = [day for day in ahead if day not in known]
    Day.objects.bulk_create((new_day(day, buckets.start_of_day(day)) for day in unused), ignore_conflicts=True)
