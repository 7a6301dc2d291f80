"""Counts refused events by day, reporter and reason."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from servers.models import Server
from stats.counts import buckets
from stats.intake.remarks import Remark
from stats.ledger import storage
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


def note(refused: Sequence[Remark], *, server_id: int | None, now: datetime.datetime) -> None:
    """Add to the day's counts, in the order of their keys, to prevent deadlocks."""
    day = buckets.day_of(now)
    rows = sorted(Counter(each.code for each in refused).items())
    if not rows:
        return
    values = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
    storage.execute(
        f"INSERT INTO stats_refusalcount (day, server_id, code, number) VALUES {values}"
        " ON CONFLICT (day, server_id, code) DO UPDATE SET number = stats_refusalcount.number + excluded.number",
        [value for code, number in rows for value in (day, server_id or PLATFORM, code, number)],
    )


def lately(server_ids: Iterable[int] | None, now: datetime.datetime, *, days: int = 2) -> list[Refused]:
    """Return the refusals of today and the days before, most first, of some servers or of all (None). One query."""
    today = buckets.day_of(now)
    rows: QuerySet[RefusalCount] = RefusalCount.objects.filter(day__gt=today - days, day__lte=today)
    if server_ids is not None:
        rows = rows.filter(server_id__in=storage.ids(server_ids))
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


def prune(*, now: datetime.datetime) -> None:
    """Delete expired counts."""
    RefusalCount.objects.filter(day__lte=buckets.day_of(now) - DAYS_KEPT).delete()
