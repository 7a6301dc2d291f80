"""The fold: adds the events of open batches to the counts of all tiers, each batch exactly once."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Max
from django.utils import timezone

from stats.counts import buckets, tiers
from stats.counts.buckets import Grain
from stats.ledger import keys, partitions, storage
from stats.models import Batch, RollupRun


@dataclass(frozen=True, slots=True)
class Folded:
    """The result of folding: batches and events counted, counter rows written."""

    batches: int = 0
    events: int = 0
    rows: int = 0

    def __add__(self, other: "Folded") -> "Folded":
        return Folded(self.batches + other.batches, self.events + other.events, self.rows + other.rows)


def fold_all(*, now: datetime.datetime, wait: bool = False) -> Folded:
    """Fold all open batches, in several transactions.

    Batches that another worker is at are passed over, or with `wait` waited for.
    """
    last = Batch.objects.filter(folded_at=None).aggregate(last=Max("id"))["last"]
    total = Folded()
    while last is not None and (folded := fold(now=now, last=last, wait=wait)).batches:
        total += folded
        storage.yield_to_writers()
    return total


def fold(*, now: datetime.datetime, last: int, wait: bool = False) -> Folded:
    """Fold some open batches up to the id `last` in one transaction; no change if none is open.

    The claim of the batches, their counts and the note of the run are committed together, so a worker that dies leaves
    nothing half done.
    """
    started_at = timezone.now()
    with storage.aggregating():
        storage.wait_for_rebuild()
        claimed = storage.claim_batches(now, last=last, limit=storage.fold_limit(), wait=wait)
        if not claimed:
            return Folded()
        batches = list(Batch.objects.filter(pk__in=claimed))
        folded = Folded(len(batches), sum(batch.event_count for batch in batches), add_to_counts(batches, now=now))
        RollupRun.objects.create(
            kind=RollupRun.Kind.FOLD,
            outcome=RollupRun.Outcome.DONE,
            started_at=started_at,
            finished_at=timezone.now(),
            batches=folded.batches,
            events=folded.events,
            rows=folded.rows,
            lag_seconds=max(0.0, (now - min(batch.received_at for batch in batches)).total_seconds()),
        )
    return folded


def add_to_counts(batches: Sequence[Batch], *, now: datetime.datetime) -> int:
    """Add the events of these batches to every tier and return how many counter rows were written.

    Scopes in a fixed order and rows by their keys, so that folders at each other's side wait instead of deadlocking.
    """
    first_minute = first_kept_minute(now)
    last_minute = max(keys.minute_of_key(batch.greatest_key) for batch in batches)
    events, source = select_of(batches)
    rows = 0
    for scope in tiers.SCOPES:
        condition = events
        if scope.finest == Grain.MINUTE:
            if last_minute < first_minute:
                continue
            condition += f" AND minute >= {first_minute:d}"
        rows += storage.execute(tiers.fold_events(scope, condition, source, first_hour=first_kept_hour(now, scope)))
    return rows


def first_kept_minute(now: datetime.datetime) -> int:
    return buckets.minute_of(now - tiers.MINUTES_KEPT)


def first_kept_hour(now: datetime.datetime, scope: tiers.Scope = tiers.SERVERS) -> int:
    return buckets.hour_of(now - scope.hours_kept)


def select_of(batches: Sequence[Batch]) -> tuple[str, str]:
    """Return the condition that selects the events of these batches, and what to select them from.

    The range beside the list is for the planner: without statistics, as on the partition of a day that has just begun, it
    takes a long list for half of the table and reads all of it.
    """
    numbers = sorted(batch.pk for batch in batches)
    return (
        f"batch_id BETWEEN {numbers[0]} AND {numbers[-1]} AND batch_id IN ({', '.join(map(str, numbers))})",
        partitions.events_between(
            min(batch.least_key for batch in batches), max(batch.greatest_key for batch in batches)
        ),
    )
