"""Closed days: days that accept no more events, by server.

A day whose events were dropped takes no events of a server that was counted on it: they could be replays. A server that was
not counted on it cannot repeat itself: for its first events the day is opened again.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Q

from core import sql_lists
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.ledger import partitions
from stats.ledger.database import atomic
from stats.ledger.row import MINUTE, SERVER, Row
from stats.models import ClosedDay, Day, ServerCount


def open_again(rows: Iterable[Row], days: set[int], *, now: datetime.datetime) -> None:
    """Open days whose events are gone for servers among these rows that were not counted on them; in transactions of their
    own."""
    for day, servers in _servers_by_day(rows, days).items():
        counted = ServerCount.objects.filter(grain=Grain.DAY, bucket=day, server_id__in=sql_lists.ids(servers))
        if servers - set(counted.values_list("server_id", flat=True)):
            _open(day, now)


def _open(day: int, now: datetime.datetime) -> None:
    with atomic():
        partitions.create([day], now=now)
        found = Day.objects.select_for_update().filter(day=day, removed_at__isnull=False).first()
        if found is None:
            # Another transaction has opened it.
            return
        # Its counts are complete: a day is dropped only when no batch in it is open.
        counted = list(ServerCount.objects.filter(grain=Grain.DAY, bucket=day).values_list("server_id", flat=True))
        ClosedDay.objects.bulk_create(
            (ClosedDay(day=day, server_id=server) for server in counted), ignore_conflicts=True, batch_size=5_000
        )
        found.dropped_at = found.removed_at = None
        # Where nothing was counted, the counts are of its events alone, as on any new day.
        found.reopened_at = now if counted else None
        found.received_at = now
        found.save(update_fields=["dropped_at", "removed_at", "reopened_at", "received_at"])


def closed_rows(rows: Sequence[Row], days: Iterable[int]) -> set[bytes]:
    """Return the keys of rows whose server and day are closed; call it while the days are held."""
    held = dict(Day.objects.filter(day__in=list(days), dropped_at=None).values_list("day", "reopened_at"))
    reopened = {day for day, at in held.items() if at is not None}
    pairs: set[tuple[int, int]] = set()
    if reopened:
        asked = Q()
        for day, servers in _servers_by_day(rows, reopened).items():
            asked |= Q(day=day, server_id__in=sql_lists.ids(servers))
        pairs = set(ClosedDay.objects.filter(asked).values_list("day", "server_id"))
    return {
        row[0]
        for row in rows
        if (day := row[MINUTE] // buckets.MINUTES_A_DAY) not in held or (pairs and (day, row[SERVER]) in pairs)
    }


def _servers_by_day(rows: Iterable[Row], days: set[int]) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        if (day := row[MINUTE] // buckets.MINUTES_A_DAY) in days:
            found[day].add(row[SERVER])
    return found
