"""The names with which reporters of the platform named servers recently, shown before a renaming."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Max

from core.sql_lists import texts
from stats.counts import buckets
from stats.models import ReportedName

DAYS_KEPT = 30


@dataclass(frozen=True, slots=True)
class Use:
    """A reporter that named servers by an organization's permalink, how many, and when last."""

    reporter: str
    names: int
    last_on: datetime.date


def note(names: Collection[tuple[str, str]], *, reporter: str, today: int) -> None:
    """Write that a reporter named servers so (two permalinks); `today` in days since 1970. One query where it is known."""
    rows = ReportedName.objects.filter(
        reporter=reporter,
        last_day=today,
        organization__in=texts({organization for organization, _ in names}),
        server__in=texts({server for _, server in names}),
    )
    fresh = set(names) - set(rows.order_by().values_list("organization", "server"))
    ReportedName.objects.bulk_create(
        [
            ReportedName(reporter=reporter, organization=organization, server=server, last_day=today)
            # In one order: two that write the same names would wait for each other for ever.
            for organization, server in sorted(fresh)
        ],
        update_conflicts=True,
        unique_fields=["organization", "server", "reporter"],
        update_fields=["last_day"],
        batch_size=5_000,
    )


def uses_of(permalink: str) -> list[Use]:
    """Return who named servers by an organization's permalink lately, by name. One query."""
    rows = ReportedName.objects.filter(organization=permalink).order_by("reporter").values("reporter")
    found = rows.annotate(names=Count("pk"), last=Max("last_day"))
    return [Use(row["reporter"], row["names"], buckets.date_of(row["last"])) for row in found]


def prune(*, now: datetime.datetime) -> None:
    """Delete what is no longer kept."""
    ReportedName.objects.filter(last_day__lte=buckets.day_of(now) - DAYS_KEPT).delete()
