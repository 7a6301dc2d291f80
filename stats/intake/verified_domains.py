"""Resolves a sender's domain to the server that had it verified at the event's time (servers/verifications.py).

The first server that verified a name has its earlier events too: logs from before the panel can be imported. Later ones have
those from their own verification on. While several have it, no server does. A period ends when its server is deleted; its
events are still that server's, so that a replay is a duplicate.
"""

import datetime
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.sql_lists import texts
from servers.models import DomainVerification
from stats.intake.tenures import ALWAYS
from stats.intake.timestamps import milliseconds_of


@dataclass(frozen=True, slots=True)
class Owners:
    """The servers that a name means, each from a time on until the next."""

    # In milliseconds since 1970, ascending.
    times: Sequence[int]
    servers: Sequence[str | None]

    def at(self, milliseconds: int) -> str | None:
        """Return the UUID of the server that had the name at this time; None: no server, or several."""
        return self.servers[bisect_right(self.times, milliseconds) - 1]


def find(names: Collection[str]) -> dict[str, str | Owners | None]:
    """Return each name's server (a UUID; None: no server), or its owners where the server depends on the time. One query."""
    rows = DomainVerification.objects.filter(name__in=texts(names)).order_by()
    periods: defaultdict[str, list[tuple[datetime.datetime, datetime.datetime | None, str]]] = defaultdict(list)
    for name, since, until, deleted_at, server in rows.values_list(
        "name", "since", "until", "server__deleted_at", "server__uuid"
    ):
        ends = [each for each in (until, deleted_at) if each is not None]
        periods[name].append((since, min(ends, default=None), str(server)))
    return {name: _owners(periods[name]) if name in periods else None for name in names}


def _owners(rows: Sequence[tuple[datetime.datetime, datetime.datetime | None, str]]) -> str | Owners | None:
    first = min(since for since, _, _ in rows)
    changes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for since, until, server in rows:
        begin = ALWAYS if since == first else milliseconds_of(since)
        if until is None:
            changes[begin][server] += 1
        elif begin < (end := milliseconds_of(until)):
            changes[begin][server] += 1
            changes[end][server] -= 1
    having: Counter[str] = Counter()
    owners: dict[int, str | None] = {}
    for time in sorted(changes):
        having.update(changes[time])
        # Only those that have it.
        having = +having
        owners[time] = next(iter(having)) if len(having) == 1 else None
    if len(owners) == 1:
        return owners[ALWAYS]
    return Owners(tuple(owners), tuple(owners.values()))
