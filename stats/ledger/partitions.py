"""The partitions of events on PostgreSQL: one per day, and one per month far in the past. SQLite has none.

What is reported as it happens fills a day, and a day is dropped whole. Only imports bring events of the far past: with a
partition for each of their days, five years of one event a day would be 1,826 tables, which every plan, backup and catalogue
query pays for.
"""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from core.locks import advisory
from stats.counts import buckets
from stats.ledger import keys, row, storage
from stats.ledger.database import ALIAS

# A day that is this much older than events are kept shares a partition with its month.
_FAR = datetime.timedelta(days=30)
_LOCK = "stats.partitions"


@dataclass(frozen=True, order=True, slots=True)
class Partition:
    """The events from one day, included, to another, excluded."""

    first: int
    end: int
    # Whether events of its days find it.
    is_attached: bool = True
    # Whether taking it off the table was begun and not ended.
    is_half_detached: bool = False

    @property
    def name(self) -> str:
        return f"stats_event_{self.first}" if self.is_of_a_day else f"stats_event_{self.first}_{self.end}"

    @property
    def is_of_a_day(self) -> bool:
        return self.end - self.first == 1

    @property
    def days(self) -> range:
        return range(self.first, self.end)


def existing() -> list[Partition]:
    """Return all partitions in the order of their days, also those that are detached and not dropped yet."""
    if not storage.is_postgresql():
        return []
    found = storage.fetch(
        "SELECT relname, inhrelid IS NOT NULL, COALESCE(inhdetachpending, false)"
        " FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid AND inhparent = 'stats_event'::regclass"
        r" WHERE relkind = 'r' AND relname ~ '^stats_event_\d+(_\d+)?$'"
        " AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'stats_event'::regclass)"
    )
    partitions = []
    for name, is_attached, is_half_detached in found:
        first, *end = (int(number) for number in name.removeprefix("stats_event_").split("_"))
        partitions.append(Partition(first, end[0] if end else first + 1, is_attached, is_half_detached))
    return sorted(partitions)


def events_between(least: uuid.UUID, greatest: uuid.UUID) -> str:
    """Return what stands after FROM, named as the table is, for the events of some batches: the partitions that can have them.

    Not a condition on keys, which would leave out the others as well: the planner then reads the keys of the whole time
    between beside the batches' own rows, again for each scope, and a day has millions.
    """
    days = range(keys.day_of_key(least), keys.day_of_key(greatest) + 1)
    holding = [
        each.name for each in existing() if each.is_attached and each.first < days.stop and each.end > days.start
    ]
    if not holding:
        return "stats_event"
    return f"({' UNION ALL '.join(f'SELECT {row.SQL} FROM {name}' for name in holding)}) AS stats_event"


def create(days: Iterable[int], *, now: datetime.datetime) -> None:
    """Make partitions for these days where there are none; in a transaction, under a lock.

    CREATE and ATTACH, because PARTITION OF would lock the whole table against writers. There is no DEFAULT partition.
    """
    if not storage.is_postgresql():
        return
    lock()
    partitions = existing()
    far = buckets.day_of(now - _FAR) - settings.SLUICE_EVENT_RETENTION
    for day in sorted(set(days)):
        if any(day in partition.days for partition in partitions):
            continue
        made = _around(day, partitions, far)
        first, end = keys.least_key(made.first), keys.least_key(made.end)
        storage.execute(f"CREATE TABLE {made.name} (LIKE stats_event INCLUDING ALL)")
        storage.execute(
            f"ALTER TABLE stats_event ATTACH PARTITION {made.name} FOR VALUES FROM ('{first}') TO ('{end}')"
        )
        partitions.append(made)


def lock() -> None:
    """Keep others from making partitions, and from opening days again, until the transaction ends."""
    advisory(_LOCK, using=ALIAS)


def drop(partition: Partition) -> None:
    """Drop a partition none of whose days takes events.

    Must not be called in a transaction. Raises OperationalError where the lock is not to be had soon; whatever was done
    until then stays done, and the next call goes on from there.
    """
    if not storage.has_own_session():
        # Of a pooler, the setting would stay with whoever has the session next. This waits longer, on a partition that nobody
        # writes to.
        _detach(partition)
        with storage.writing():
            storage.execute(f"SET LOCAL lock_timeout = '2s'; DROP TABLE IF EXISTS {partition.name}")
        return
    storage.execute("SET lock_timeout = '2s'")
    try:
        _detach(partition)
        storage.execute(f"DROP TABLE IF EXISTS {partition.name}")
    finally:
        storage.execute("RESET lock_timeout")


def _detach(partition: Partition) -> None:
    if partition.is_attached:
        # CONCURRENTLY lets ingesters and folders go on; interrupted half-way it has to be finished, not begun again.
        how = "FINALIZE" if partition.is_half_detached else "CONCURRENTLY"
        storage.execute(f"ALTER TABLE stats_event DETACH PARTITION {partition.name} {how}")


def drop_day(day: int) -> None:
    """Remove all events of a day that takes no more: with its partition, or, where it shares one, row by row.

    As `drop`, outside of transactions; it raises the same.
    """
    for partition in existing():
        if partition.is_of_a_day and day in partition.days:
            drop(partition)
            return
    storage.delete("stats_event", storage.keys_between(keys.least_key(day), keys.least_key(day + 1)))


def _around(day: int, partitions: Iterable[Partition], far: int) -> Partition:
    """Return the partition to make for a day: of the far past its month, as far as no partition has it already."""
    if day >= far:
        return Partition(day, day + 1)
    month = buckets.month_number(buckets.date_of(day))
    first, end = buckets.first_day_of_month(month), min(buckets.first_day_of_month(month + 1), far)
    for other in partitions:
        if other.end <= day:
            first = max(first, other.end)
        else:
            end = min(end, other.first)
    return Partition(first, end)
