"""Usage of organizations by month and by day, for customers and billing."""

import datetime
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.counts.tiers import HOURS_KEPT
from stats.models import ServerCount
from stats.reports.reader import COLUMNS, ZERO, Counts, counts_of, rows_of, sums_of


def by_month(server_ids: QuerySet[Any], first: int, last: int) -> dict[int, Counts]:
    """Return the sum over these servers (a query of their ids) for each month from first to last, months without mail too."""
    found = {key[0]: counts for key, counts in sums_of(_months(server_ids, first, last), "bucket").items()}
    return {month: found.get(month, ZERO) for month in range(first, last + 1)}


def by_month_and_server(server_ids: QuerySet[Any] | None, first: int, last: int) -> Iterable[tuple[int, int, Counts]]:
    """Yield (month, server, counts) for each that has any, the latest month first, then by server; None is all servers."""
    rows = _months(server_ids, first, last).order_by("-bucket", "server_id")
    for month, server, *numbers in rows.values_list("bucket", "server_id", *COLUMNS).iterator(chunk_size=2_000):
        yield month, server, Counts(*numbers)


def by_local_day(
    server_ids: QuerySet[Any], zone: datetime.tzinfo, now: datetime.datetime
) -> dict[datetime.date, Counts]:
    """Return the sum over these servers for each whole day of a time zone that hours are kept of, today included and last.

    An hour belongs to the day in which it begins: where a zone is off by part of an hour, so are its days (`begins`).
    """
    first = (now - HOURS_KEPT).astimezone(zone).date() + datetime.timedelta(days=1)
    today = now.astimezone(zone).date()
    found = {first + datetime.timedelta(days=number): ZERO for number in range((today - first).days + 1)}
    begins = datetime.datetime.combine(first, datetime.time.min, zone)
    hours = range(buckets.hour_of(begins), buckets.hour_of(now) + 1)
    rows = rows_of(ServerCount, Grain.HOUR, hours, server_id=server_ids)
    for (hour,), counts in sums_of(rows, "bucket").items():
        day = buckets.start_of_hour(hour).astimezone(zone).date()
        if day in found:
            found[day] += counts
    return found


def begins(day: datetime.date, zone: datetime.tzinfo) -> datetime.datetime:
    """Return when the first hour that counts for a day of a time zone begins, in that zone."""
    return buckets.day_begins(day, zone).astimezone(zone)


def busiest(server_ids: QuerySet[Any], month: int, *, limit: int) -> list[tuple[int, Counts]]:
    """Return the servers that sent most in a month, most first."""
    rows = _months(server_ids, month, month).order_by("-sent", "server_id")[:limit]
    return [(row["server_id"], counts_of(row)) for row in rows.values("server_id", *COLUMNS)]


def _months(server_ids: QuerySet[Any] | None, first: int, last: int) -> QuerySet[ServerCount]:
    return rows_of(ServerCount, Grain.MONTH, range(first, last + 1), server_id=server_ids)
