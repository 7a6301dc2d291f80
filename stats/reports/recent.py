"""Recent counts of many servers at once, by day and hour, in one query."""

import datetime
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from core import sql_lists
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import PlatformCount, ServerCount
from stats.reports.queries import Point
from stats.reports.reader import ZERO, sums_of


def of_servers(
    server_ids: Iterable[int] | None, now: datetime.datetime, *, days: int, hours: int
) -> tuple[list[Point], list[Point]]:
    """Return the sums of some servers, or of all (None), over the last days and the last hours; the current ones are last."""
    last_day, last_hour = buckets.day_of(now), buckets.hour_of(now)
    in_days, in_hours = range(last_day - days + 1, last_day + 1), range(last_hour - hours + 1, last_hour + 1)
    # Those of all are counted by themselves.
    counts: QuerySet[Any] = (PlatformCount if server_ids is None else ServerCount)._default_manager.all()
    rows = counts.filter(Q(grain=Grain.DAY, bucket__in=in_days) | Q(grain=Grain.HOUR, bucket__in=in_hours))
    if server_ids is not None:
        rows = rows.filter(server_id__in=sql_lists.sought(server_ids))
    found = sums_of(rows, "grain", "bucket")
    return (
        [Point(buckets.start_of_day(each), found.get((Grain.DAY, each), ZERO)) for each in in_days],
        [Point(buckets.start_of_hour(each), found.get((Grain.HOUR, each), ZERO)) for each in in_hours],
    )
