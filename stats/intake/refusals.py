"""Counts refused events by day, reporter and reason."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, OuterRef, QuerySet, Subquery, Sum

from core import sql_lists
from servers.models import Server
from stats.counts import buckets
from stats.intake import samples
from stats.intake.remarks import Remark
from stats.ledger import storage
from stats.ledger.database import CONFIGURATION
from stats.models import RefusalCount

DAYS_KEPT = 30
# Stands for reporters of the platform.
PLATFORM = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Recent refusals of one reporter; `server_id` and `server` are None for reporters of the platform."""

    server_id: int | None
    server: str | None
    number: int
    # By reason, most first.
    codes: dict[str, int]


def note(refused: Sequence[Remark], events: Sequence[Any], *, server_id: int | None, now: datetime.datetime) -> None:
    """Add to the day's counts, in the order of their keys, to prevent deadlocks; `events` has the remarks' positions."""
    day = buckets.day_of(now)
    rows = sorted(Counter(each.code for each in refused).items())
    if not rows:
        return
    latest = {each.code: each for each in refused}
    values = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
    storage.execute(
        f"INSERT INTO stats_refusalcount (day, server_id, code, number, message, sample) VALUES {values}"
        " ON CONFLICT (day, server_id, code) DO UPDATE SET number = stats_refusalcount.number + excluded.number,"
        " message = excluded.message, sample = excluded.sample",
        [
            value
            for code, number in rows
            for remark in (latest[code],)
            for value in (
                day, server_id or PLATFORM, code, number,
                remark.message[: samples.LONGEST_MESSAGE], samples.masked(events[remark.position]),
            )
        ],
        using=CONFIGURATION,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """The refusals of one reporter for one reason, in some days; `server` is None for reporters of the platform."""

    server_id: int | None
    server: str | None
    organization: str | None
    code: str
    number: int
    first_day: datetime.date
    last_day: datetime.date
    # Of the latest one.
    message: str
    sample: str


def lines(server_ids: Iterable[int] | None, now: datetime.datetime, *, days: int, most: int) -> tuple[list[Line], int]:
    """Return the refusals of the last days by reporter and reason, most first, and how many more there are. Three queries.

    Of some servers, or of all reporters (None).
    """
    rows = _rows(server_ids, now, days)
    grouped = rows.order_by().values_list("server_id", "code")
    sums = grouped.annotate(total=Sum("number"), first=Min("day"), last=Max("day"))
    summed = list(sums.order_by("-total", "code", "server_id")[: most + 1])
    more = max(0, grouped.distinct().count() - most) if len(summed) > most else 0
    shown = summed[:most]
    names = {
        pk: (name, organization)
        for pk, name, organization in Server.objects.filter(
            pk__in=sql_lists.ids({server for server, *_ in shown})
        ).values_list("pk", "name", "organization__name")
    }
    wanted = {(last, server, code) for server, code, _, _, last in shown}
    latest = {
        (row.day, row.server_id, row.code): row
        for row in rows.filter(
            day__in={day for day, _, _ in wanted}, server_id__in=sql_lists.ids({s for _, s, _ in wanted})
        )
        if (row.day, row.server_id, row.code) in wanted
    }
    found = []
    for server, code, total, first, last in shown:
        name, organization = names.get(server, (None, None))
        row = latest[last, server, code]
        days_seen = _date(first), _date(last)
        found.append(Line(server or None, name, organization, code, total, *days_seen, row.message, row.sample))
    return found, more


def _date(day: int) -> datetime.date:
    return buckets.start_of_day(day).date()


def lately(server_ids: Iterable[int] | None, now: datetime.datetime, *, days: int = 2) -> list[Refused]:
    """Return the refusals of today and the days before, most first, of some servers or of all (None). One query."""
    rows = _rows(server_ids, now, days)
    name = Subquery(Server.objects.filter(pk=OuterRef("server_id")).order_by().values("name")[:1])
    found: dict[int, tuple[str | None, dict[str, int]]] = {}
    sums = rows.values("server_id", "code").annotate(total=Sum("number"), server=name).order_by("-total", "code")
    for row in sums:
        found.setdefault(row["server_id"], (row["server"], {}))[1][row["code"]] = row["total"]
    reporters = [
        Refused(server_id or None, server if server_id else None, sum(codes.values()), codes)
        for server_id, (server, codes) in found.items()
    ]
    return sorted(reporters, key=lambda each: (-each.number, each.server_id or 0))


def _rows(server_ids: Iterable[int] | None, now: datetime.datetime, days: int) -> QuerySet[RefusalCount]:
    today = buckets.day_of(now)
    rows: QuerySet[RefusalCount] = RefusalCount.objects.filter(day__gt=today - days, day__lte=today)
    return rows if server_ids is None else rows.filter(server_id__in=sql_lists.ids(server_ids))


def prune(*, now: datetime.datetime) -> None:
    """Delete expired counts."""
    RefusalCount.objects.filter(day__lte=buckets.day_of(now) - DAYS_KEPT).delete()
