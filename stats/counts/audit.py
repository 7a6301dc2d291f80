"""Audits counts against the stored events, and rebuilds counts that differ.

The tiers that a day's events can give (up to days) are compared with the events; each coarser one with the finer tier that
it is the sum of, which is kept for ever. So months and totals can be checked though their events are gone.
"""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import F, Sum

from core import sql_lists
from stats.counts import buckets, tiers
from stats.counts.buckets import Grain
from stats.counts.fold import first_kept_hour, first_kept_minute
from stats.counts.reclassify import reclassify
from stats.counts.tiers import Scope
from stats.ledger import keys, storage
from stats.ledger.database import ALIAS
from stats.models import Batch, Day, ServerCount

_MOST_SHOWN = 100
# Fine counts as old as this beside the end of their keeping are left alone: they may be on their way out.
_MARGIN_MINUTES = 10
# The most of what is read in one snapshot, where it is more than one day.
_MOST_DAYS = 31
_MOST_EVENTS = 200_000
_FOLDED = "batch_id NOT IN (SELECT id FROM stats_batch WHERE folded_at IS NULL)"


class EventsMissing(Exception):
    """Events of batches are missing. A rebuild would remove them from the counts."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A wrong row of counts; `missing` is truth minus count, by kind, where they differ."""

    scope: str
    grain: Grain
    bucket: int
    keys: tuple[int, ...]
    missing: dict[str, int]

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {number:+d}" for kind, number in self.missing.items())
        subject = " ".join([self.scope, "/".join(map(str, self.keys))]).rstrip()
        return f"{subject}, {self.grain.label} {self.bucket}: {kinds}"


@dataclass(slots=True)
class Audit:
    """The result of an audit: the number of differing rows, the first of them, and batches that lost events."""

    days: list[int] = field(default_factory=list)
    events: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    # Batch id: how many of its events are gone.
    missing_events: dict[int, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not self.differing and not self.missing_events

    def __str__(self) -> str:
        lines = [f"batch {batch} lacks {number} events" for batch, number in self.missing_events.items()]
        lines += [str(each) for each in self.differences]
        if self.differing > len(self.differences):
            lines.append(f"and {self.differing - len(self.differences)} more")
        return "\n".join(lines)


def audit(days: Iterable[int] | None = None, *, now: datetime.datetime) -> Audit:
    """Compare the counts of some days, or of all stored days, with their events; dropped days are skipped.

    Each day, with neighbours that have little in them, is read in one snapshot, so that folding may go on meanwhile.
    """
    found = Audit()
    for some in _neighbours(_held(days)):
        with storage.snapshot(using=ALIAS):
            _audit_days(some, found, now)
    with storage.snapshot(using=ALIAS):
        _collect(found, _coarse_selects(found.days))
    return found


def rebuild(days: Iterable[int] | None = None, *, now: datetime.datetime, even_if_missing: bool = False) -> int:
    """Rebuild the counts of some days, or of all stored days, from their events; return the number of wrong rows.

    Each day is one transaction, together with the months, years and totals that it is part of; folds wait for it. Raises
    EventsMissing where events were lost, unless that is to be accepted.
    """
    corrected = 0
    for day in _held(days):
        with storage.aggregating():
            storage.wait_for_folds()
            missing = _missing_events(range(day, day + 1))
            if missing and not even_if_missing:
                raise EventsMissing(f"{buckets.date_of(day)}: {sum(missing.values())} events are gone")
            # Before it counts; rows counted by the classes of before are wrong then, and corrected below.
            reclassify(day)
            for scope, _, select in [*_fine_selects(range(day, day + 1), now), *_coarse_selects([day])]:
                corrected += storage.execute(tiers.add_differences(scope, select))
        storage.yield_to_writers()
    return corrected


def _held(days: Iterable[int] | None) -> list[int]:
    held = Day.objects.filter(dropped_at=None, reopened_at=None)
    if days is not None:
        held = held.filter(day__in=sql_lists.ids(days))
    return list(held.order_by("day").values_list("day", flat=True))


def _neighbours(days: Sequence[int]) -> Iterator[range]:
    """Yield these days, in runs that have no other day between them; none that has much in it is longer than a day.

    A day costs some twenty queries, however little is in it: with years of few events they are all that an audit costs.
    """
    if not days:
        return
    others = set(Day.objects.filter(day__range=(days[0], days[-1])).values_list("day", flat=True)) - set(days)
    sizes = _counted_events(days)
    first, end, size = days[0], days[0], 0
    for day in days:
        size += sizes.get(day, 0)
        is_long = day - first >= _MOST_DAYS or size > _MOST_EVENTS
        if day > first and (is_long or not others.isdisjoint(range(end, day))):
            yield range(first, end)
            first, size = day, sizes.get(day, 0)
        end = day + 1
    yield range(first, end)


def _counted_events(days: Iterable[int]) -> dict[int, int]:
    """Return about how many events each day has, by its counts, which may be wrong."""
    every = sum((F(word) for word in tiers.COUNTERS[1:]), F(tiers.COUNTERS[0]))
    rows = ServerCount.objects.filter(grain=Grain.DAY, bucket__in=sql_lists.ids(days))
    return dict(rows.values("bucket").annotate(total=Sum(every)).values_list("bucket", "total"))


def _audit_days(days: range, found: Audit, now: datetime.datetime) -> None:
    known = Day.objects.filter(day__range=(days[0], days[-1]))
    found.days.extend(known.order_by("day").values_list("day", flat=True))
    found.events += _count_events(days)
    found.missing_events |= _missing_events(days)
    _collect(found, _fine_selects(days, now))


def _collect(found: Audit, selects: Iterable[tuple[Scope, Grain, str]]) -> None:
    for scope, grain, select in selects:
        for _, bucket, *rest in storage.fetch(select):
            found.differing += 1
            if len(found.differences) < _MOST_SHOWN:
                keys, counts = rest[: len(scope.keys)], rest[len(scope.keys) :]
                missing = {kind: number for kind, number in zip(scope.counters, counts, strict=True) if number}
                found.differences.append(Difference(scope.name, grain, bucket, tuple(keys), missing))


def _fine_selects(days: range, now: datetime.datetime) -> Iterator[tuple[Scope, Grain, str]]:
    """Yield the queries that compare the tiers of some days with their events, without expired minutes and hours."""
    in_a_day = {Grain.MINUTE: buckets.MINUTES_A_DAY, Grain.HOUR: buckets.HOURS_A_DAY, Grain.DAY: 1}
    for scope in tiers.SCOPES:
        hour = first_kept_hour(now, scope) + 1
        kept = {Grain.MINUTE: first_kept_minute(now) + _MARGIN_MINUTES, Grain.HOUR: hour, Grain.DAY: 0}
        for grain in scope.exact():
            first, last = max(days[0] * in_a_day[grain], kept[grain]), (days[-1] + 1) * in_a_day[grain] - 1
            if first <= last:
                minutes = buckets.MINUTES_A_DAY // in_a_day[grain]
                events = f"{_of(days)} AND minute >= {first * minutes} AND {_FOLDED}"
                yield scope, grain, tiers.differences_from_events(scope, grain, events, first=first, last=last)


def _coarse_selects(days: Sequence[int]) -> Iterator[tuple[Scope, Grain, str]]:
    """Yield the queries that compare months, years and totals of some days with their finer tiers."""
    dates = [buckets.date_of(day) for day in days]
    touched = {
        Grain.MONTH: sorted({buckets.month_number(date) for date in dates}),
        Grain.YEAR: sorted({date.year for date in dates}),
        Grain.TOTAL: [0],
    }
    for scope in tiers.SCOPES:
        for grain, finer in scope.sources():
            if days:
                yield scope, grain, tiers.differences_from_finer(scope, grain, finer, touched[grain])


def _of(days: range) -> str:
    return storage.keys_between(keys.least_key(days.start), keys.least_key(days.stop))


def _count_events(days: range) -> int:
    return int(storage.fetch(tiers.count_events(f"{_of(days)} AND {_FOLDED}"))[0][0])


def _missing_events(days: range) -> dict[int, int]:
    """Return the number of missing events by batch, of batches that begin on these days and have no dropped days."""
    first, end = keys.least_key(days.start), keys.least_key(days.stop)
    begun = Batch.objects.filter(least_key__gte=first, least_key__lt=end, folded_at__isnull=False)
    greatest = begun.order_by("-greatest_key").values_list("greatest_key", flat=True).first()
    if greatest is None:
        return {}
    events = storage.keys_between(first, keys.least_key(keys.day_of_key(greatest) + 1), "event.key")
    lacking = dict(storage.fetch(tiers.lacking_batches(storage.keys_between(first, end, "least_key"), events)))
    if lacking:
        dropped = set(
            Day.objects.exclude(dropped_at=None, reopened_at=None)
            .filter(day__gt=days.start)
            .values_list("day", flat=True)
        )
        for batch in Batch.objects.filter(pk__in=lacking):
            reached = range(keys.day_of_key(batch.least_key), keys.day_of_key(batch.greatest_key) + 1)
            if not dropped.isdisjoint(reached):
                del lacking[batch.pk]
    return lacking
