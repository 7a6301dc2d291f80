"""The summary of an organization's page: servers, pools, memberships, usage by month."""

import datetime
import zoneinfo
from collections.abc import Iterator
from typing import Any

from django.db.models import Case, Value, When

from panel.explorer import links
from panel.viewer import Viewer
from servers import quotas
from servers.models import Organization, Server
from servers.pools import pools_of
from servers.required_factors import number_of_people
from stats.counts import buckets
from stats.reports import usage

MONTHS = 12
# In the file: as far back as counts may go.
FILE_MONTHS = 60
SHOWN = 20
EXPLORED_DAYS = 30
DAILY_COLUMNS = (
    "day",
    "time_zone",
    "begins_at",
    "incoming",
    "sent",
    "deferred",
    "bounced",
    "held",
    "spam",
    "complaint",
)
USAGE_COLUMNS = ("month", "server", "permalink", "incoming", "sent", "deferred", "bounced", "held", "spam", "complaint")


def summary(organization: Organization, viewer: Viewer, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of `panel/organization/summary.html`: the same queries however much there is."""
    ids = Server.objects.filter(organization=organization).values("pk")
    month = buckets.month_number(now.date())
    months = usage.by_month(ids, month - MONTHS + 1, month)
    most = max((counts.sent for counts in months.values()), default=0) or 1
    busiest = dict(usage.busiest(ids, month, limit=SHOWN))
    living = Server.objects.living().filter(organization=organization).select_related("ip_pool")
    # The busiest first, then the others by name: one query, however many there are of each.
    rank = Case(When(pk__in=list(busiest), then=Value(0)), default=Value(1))
    servers = list(living.order_by(rank, "name_key")[:SHOWN])
    servers.sort(key=lambda server: -busiest[server.pk].sent if server.pk in busiest else 0)
    for server in servers:
        server.sent = busiest[server.pk].sent if server.pk in busiest else 0  # type: ignore[attr-defined]
        server.is_stopped = server.is_suspended(now)  # type: ignore[attr-defined]
    server_total = living.count()
    pools = pools_of(organization)
    member_total, lacking_factor = number_of_people(organization)
    memberships = organization.memberships.select_related("user").order_by("role", "user__username")
    return {
        "organization": organization,
        "explore_url": links.of_last_days(now, EXPLORED_DAYS, organization=organization.pk, group="server"),
        "servers": servers,
        "server_total": server_total,
        "pools": list(pools[:SHOWN]),
        "pool_total": pools.count(),
        "memberships": list(memberships[:SHOWN]),
        # Declined ones too: the organization is not told.
        "invited": list(organization.invitations.filter(expires_at__gt=now)[:SHOWN]),
        "member_total": member_total,
        "lacking_factor": lacking_factor,
        "may_change_people": viewer.owns(organization.pk),
        "may_add_servers": viewer.changes(organization.pk),
        "months": [
            {"name": first_day(number), "counts": counts, "width": round(100 * counts.sent / most)}
            for number, counts in reversed(months.items())
        ],
        "this_month": months[month],
        "quotas": quotas.usage_of(organization, max_servers=server_total),
    }


def usage_rows(organization: Organization, now: datetime.datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the usage file, including deleted servers."""
    servers = Server.objects.filter(organization=organization)
    names = {pk: (name, permalink) for pk, name, permalink in servers.values_list("pk", "name", "permalink")}
    month = buckets.month_number(now.date())
    for number, server_id, counts in usage.by_month_and_server(servers.values("pk"), month - FILE_MONTHS + 1, month):
        kinds = (getattr(counts, name) for name in USAGE_COLUMNS[3:])
        yield (f"{first_day(number):%Y-%m}", *names[server_id], *kinds)


def daily_rows(organization: Organization, now: datetime.datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the file of days, by the organization's time zone, the latest first.

    Each says when it begins: in a zone such as Asia/Kolkata, not at midnight, since whole hours of UTC are counted.
    """
    servers = Server.objects.filter(organization=organization).values("pk")
    zone = zoneinfo.ZoneInfo(organization.time_zone)
    days = usage.by_local_day(servers, zone, now)
    for day in sorted(days, reverse=True):
        begins_at = usage.begins(day, zone).isoformat()
        kinds = (getattr(days[day], name) for name in DAILY_COLUMNS[3:])
        yield (day.isoformat(), organization.time_zone, begins_at, *kinds)


def first_day(month: int) -> datetime.date:
    """Return the first day of a month given by its number."""
    return datetime.date(month // 12, month % 12 + 1, 1)
