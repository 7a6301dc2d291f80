"""Stores events exactly once: a batch and its events in one transaction."""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import structlog
from django.db import DatabaseError

from stats.counts import buckets
from stats.ledger import closing, consumers, outbox, partitions, storage
from stats.ledger.announcing import EventOf
from stats.ledger.database import IS_APART, atomic, connection
from stats.ledger.row import KEY, MINUTE, Row
from stats.models import Batch, Day

logger = structlog.get_logger(__name__)

_ATTEMPTS = 5
# How far behind the truth a day's `received_at` may be: ingesters would queue at the row if each of them wrote it.
_RECEIVED_ACCURACY = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a batch became: how many events were new, how many were there already, the keys of those that were not taken
    because their day is closed to their server, and of those that were there with other content."""

    accepted: int
    duplicates: int
    closed: frozenset[bytes] = frozenset()
    conflicts: frozenset[bytes] = frozenset()


def store(rows: Iterable[Row], *, now: datetime.datetime, event_of: EventOf | None = None) -> Stored:
    """Store at most `storage.batch_limit()` rows with distinct keys; on return they are committed.

    `event_of` returns the event that a row was read from: the servers' webhooks and suppressions are told of those that are
    new. None: of none.

    Rows of days whose events of the same server have been dropped are left out: they could be replays of what was counted and
    thrown away.
    """
    # By key: two that store common events would otherwise each wait for the other.
    ordered = sorted(rows, key=itemgetter(KEY))
    if not ordered:
        return Stored(0, 0)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _store(ordered, now, event_of)
        except DatabaseError as error:
            if attempt == _ATTEMPTS or connection().in_atomic_block or not storage.is_passing(error):
                raise
            logger.warning("batch_stored_again", attempt=attempt, cause=str(error))
    raise AssertionError("unreachable")


def _store(ordered: Sequence[Row], now: datetime.datetime, event_of: EventOf | None) -> Stored:
    days = {row[MINUTE] // buckets.MINUTES_A_DAY for row in ordered}
    if gone := ensure_days(days, now=now):
        closing.open_again(ordered, gone, now=now)
    with storage.writing():
        storage.hold_days(days)
        # A statement of its own, after the locks: it sees the days as they are while we hold them.
        closed = _closed(ordered, days)
        if closed:
            ordered = [row for row in ordered if row[0] not in closed]
        accepted, conflicts, entry = _insert(ordered, now, event_of) if ordered else (0, set(), None)
    if entry is not None:
        # The events are stored for good, whatever becomes of this: it is done again then.
        outbox.pass_on(entry, now=now)
    return Stored(accepted, len(ordered) - accepted - len(conflicts), frozenset(closed), frozenset(conflicts))


def _closed(ordered: Sequence[Row], days: set[int]) -> set[bytes]:
    taking = Day.objects.filter(day__in=days, dropped_at=None, reopened_at=None).count()
    # Nearly always every day takes events of everybody: then no row is looked at.
    return set() if taking == len(days) else closing.closed_rows(ordered, days)


def _insert(
    ordered: Sequence[Row], now: datetime.datetime, event_of: EventOf | None
) -> tuple[int, set[bytes], outbox.Entry | None]:
    batch = Batch.objects.create(
        received_at=now,
        event_count=len(ordered),
        least_key=uuid.UUID(bytes=ordered[0][0]),
        greatest_key=uuid.UUID(bytes=ordered[-1][0]),
    )
    accepted, conflicts = storage.insert_events(ordered, batch.pk)
    entry = None
    if accepted == 0:
        batch.delete()
    elif accepted < len(ordered):
        Batch.objects.filter(pk=batch.pk).update(event_count=accepted)
    if accepted:
        is_whole = accepted == len(ordered)
        if IS_APART:
            work = consumers.work_of(ordered, batch, event_of, is_whole=is_whole, now=now)
            entry = outbox.write(batch, work, now=now) if work else None
        else:
            consumers.act(ordered, batch, event_of, is_whole=is_whole, now=now)
    return accepted, conflicts, entry


def ensure_days(days: Iterable[int], *, now: datetime.datetime) -> set[int]:
    """Make ready for events of these days, in a transaction of its own: creating a partition among the events of a batch
    would deadlock with others who do the same. Days that were dropped stay dropped; returns those of
    them whose events are gone."""
    wanted = set(days)
    known, gone = {}, set()
    for day, received_at, removed_at in Day.objects.filter(day__in=wanted).values_list(
        "day", "received_at", "removed_at"
    ):
        known[day] = received_at
        if removed_at is not None:
            gone.add(day)
    stale = sorted(day for day, received_at in known.items() if received_at < now - _RECEIVED_ACCURACY)
    missing = sorted(wanted - known.keys())
    if not missing and not stale:
        return gone
    with atomic():
        partitions.create(missing, now=now)
        Day.objects.bulk_create((new_day(day, now) for day in missing), ignore_conflicts=True)
        # One after the other, in order, so that two who do this wait for each other in the same one.
        for day in stale:
            Day.objects.filter(day=day, received_at__lt=now).update(received_at=now)
    return gone


def new_day(day: int, received_at: datetime.datetime, *, dropped_at: datetime.datetime | None = None) -> Day:
    date = buckets.date_of(day)
    return Day(
        day=day, month=buckets.month_number(date), year=date.year, received_at=received_at, dropped_at=dropped_at
    )
