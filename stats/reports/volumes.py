"""Messages sent today, in seven days and this month, by subject: columns of lists, and their order."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, Sum

from core import sql_lists
from stats.counts import buckets
from stats.counts.buckets import Grain, Period
from stats.models import AddressCount, DomainCount, SenderDomain, ServerCount

# Today included, as in the load of a pool.
DAYS = 7


@dataclass(frozen=True, slots=True)
class Volume:
    """Messages sent so far today, in the last seven UTC days, and in this UTC month."""

    today: int = 0
    week: int = 0
    month: int = 0

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(self.today + other.today, self.week + other.week, self.month + other.month)


NOTHING = Volume()


def by_address(ids: Iterable[int], now: datetime.datetime) -> dict[int, Volume]:
    """Return the volume of each address that sent anything. One query."""
    return _by(AddressCount, "address_id", ids, now)


def by_server(ids: Iterable[int], now: datetime.datetime) -> dict[int, Volume]:
    """Return the volume of each server that sent anything. One query."""
    return _by(ServerCount, "server_id", ids, now)


def by_domain(names: Mapping[int, tuple[int, str]], now: datetime.datetime) -> dict[int, Volume]:
    """Return the volume of each domain that sent anything; `names` has the server and the A-label of each id. Two queries."""
    wanted = {pair: key for key, pair in names.items()}
    servers = sql_lists.ids({server for server, _ in wanted})
    rows = SenderDomain.objects.filter(server_id__in=servers).values_list("id", "server_id", "name")
    keys = {found: wanted[server, name] for found, server, name in rows.iterator() if (server, name) in wanted}
    return {keys[found]: volume for found, volume in _by(DomainCount, "domain_id", keys, now).items()}


def summed(pairs: Iterable[tuple[int, int]], volumes: Mapping[int, Volume]) -> dict[int, Volume]:
    """Return the sum of the parts' volumes for each whole; `pairs` are (whole, part)."""
    found: dict[int, Volume] = {}
    for whole, part in pairs:
        found[whole] = found.get(whole, NOTHING) + volumes.get(part, NOTHING)
    return found


def _by(counts: Any, key: str, ids: Iterable[int], now: datetime.datetime) -> dict[int, Volume]:
    today = buckets.day_of(now)
    month = buckets.span_of(Period.MONTH, now).first
    # Each bucket by name, so that few ids are found by the primary key.
    days = Q(grain=Grain.DAY, bucket__in=list(range(today - DAYS + 1, today + 1)))
    rows = counts.objects.filter(
        days | Q(grain=Grain.MONTH, bucket=month), sent__gt=0, **{f"{key}__in": sql_lists.sought(ids)}
    )
    sums = rows.values(key).annotate(
        today=Sum("sent", filter=Q(grain=Grain.DAY, bucket=today), default=0),
        week=Sum("sent", filter=Q(grain=Grain.DAY), default=0),
        month=Sum("sent", filter=Q(grain=Grain.MONTH), default=0),
    )
    return {found: Volume(*sent) for found, *sent in sums.values_list(key, "today", "week", "month")}
