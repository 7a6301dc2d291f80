"""The usage report: all servers' counts of a month, sortable, as a page and as CSV."""

import datetime
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from panel import csv_file, long_work
from panel.explorer.rates import TITLES
from panel.pages.organization_overview import first_day
from panel.site_mixin import SiteMixin
from panel.viewer import viewer_of
from servers.access import organizations_of, servers_of
from servers.models import Server
from stats.counts import buckets
from stats.reports import usage
from stats.reports.reader import ZERO, Counts, sum_of

# As far back as the page's choice goes; months without counts are empty.
MONTHS = 24
FIRST_MONTH = "1970-01"
SHOWN = 200
KINDS = ("sent", "incoming", "deferred", "bounced", "held", "spam", "complaint")
COLUMNS = ("month", "organization", "organization_permalink", "server", "server_permalink", *KINDS, "accepted_percent")
BY = {"organization": "Customers", "server": "Servers"}


@dataclass(frozen=True, slots=True)
class Row:
    """The counts of one customer, or one server, in the month."""

    organization_id: int
    organization: str
    organization_permalink: str
    server_id: int | None
    server: str
    server_permalink: str
    counts: Counts

    @property
    def numbers(self) -> list[int]:
        return [getattr(self.counts, kind) for kind in KINDS]

    @property
    def accepted(self) -> float | None:
        """The accepted share of attempts, in percent; None without attempts."""
        attempts = self.counts.sent + self.counts.deferred + self.counts.bounced
        return round(100 * self.counts.sent / attempts, 1) if attempts else None


class Usage(SiteMixin):
    """Mixin of the admin site: the usage report."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("usage/", self.admin_view(self.usage), name="usage"),
            path("usage.csv", self.admin_view(self.usage_file), name="usage_file"),
        ]
        return [*own, *super().get_urls()]

    def usage(self, request: HttpRequest) -> HttpResponse:
        """Show the month's usage of every customer that the user can view."""
        month, kind, by = self._asked(request)
        rows = rows_of(request, month, kind, by)
        this_month = buckets.month_number(timezone.now().date())
        asked = {"month": f"{first_day(month):%Y-%m}", "by": by}
        context = {
            **self.each_context(request),
            "title": "Usage",
            "rows": rows[:SHOWN],
            "more": max(0, len(rows) - SHOWN),
            "sum": Row(0, "", "", None, "", "", sum_of(row.counts for row in rows) if rows else ZERO),
            "months": [(f"{first_day(each):%Y-%m}", first_day(each), each == month)
                       for each in range(this_month, this_month - MONTHS, -1)],
            "month": first_day(month),
            "by": by,
            "choices": [(name, title, f"?{urlencode({**asked, 'by': name, 'sort': kind})}") for name, title in BY.items()],
            "columns": [(name, TITLES[name], f"?{urlencode({**asked, 'sort': name})}", name == kind) for name in KINDS],
            "sort": kind,
            "file_url": f"{reverse('admin:usage_file')}?{urlencode({**asked, 'sort': kind})}",
            "before": first_day(month - 1),
            "before_url": f"?{urlencode({**asked, 'month': f'{first_day(month - 1):%Y-%m}', 'sort': kind})}",
            "before_file_url": f"{reverse('admin:usage_file')}?"
                               f"{urlencode({**asked, 'month': f'{first_day(month - 1):%Y-%m}', 'sort': kind})}",
        }  # fmt: skip
        request.current_app = self.name
        return TemplateResponse(request, "panel/usage.html", context)

    @long_work.few_at_once
    def usage_file(self, request: HttpRequest) -> HttpResponse:
        """Return the same rows as a CSV file."""
        month, kind, by = self._asked(request)
        name = f"{first_day(month):%Y-%m}"
        cells = (
            [name, row.organization, row.organization_permalink, row.server, row.server_permalink, *row.numbers,
             "" if row.accepted is None else row.accepted]
            for row in rows_of(request, month, kind, by)
        )  # fmt: skip
        return csv_file.answer(f"usage-{name}.csv", COLUMNS, cells)

    def _asked(self, request: HttpRequest) -> tuple[int, str, str]:
        page = self._registry.get(Server)
        if page is None or not page.has_view_permission(request):
            raise PermissionDenied
        kind, by = request.GET.get("sort", ""), request.GET.get("by", "")
        return (
            month_of(request.GET.get("month", ""), timezone.now().date()),
            kind if kind in KINDS else "sent",
            by if by in BY else "organization",
        )


def month_of(text: str, today: datetime.date) -> int:
    """Return the number of a month written as 2026-11; this month for anything else, and for what no calendar goes back to."""
    if text < FIRST_MONTH:
        return buckets.month_number(today)
    try:
        return buckets.month_number(datetime.datetime.strptime(text[:7], "%Y-%m").replace(tzinfo=datetime.UTC).date())
    except ValueError:
        return buckets.month_number(today)


def rows_of(request: HttpRequest, month: int, kind: str, by: str) -> list[Row]:
    """Return a row for each customer, or server, that did anything in the month; most of the kind first. Three queries.

    Deleted servers are in it, because they were used.
    """
    viewer = viewer_of(request)
    servers = Server.objects.all() if viewer.is_platform else servers_of(viewer.user)
    ids = None if viewer.is_platform else servers.values("pk")
    counts = {server: each for _, server, each in usage.by_month_and_server(ids, month, month)}
    names = organizations_of(viewer.user).values_list("pk", "name", "permalink")
    organizations = {pk: (pk, name, permalink) for pk, name, permalink in names}
    rows: list[Row] = []
    if by == "server":
        named = servers.values_list("pk", "name", "permalink", "organization_id")
        rows = [Row(*organizations[of], pk, name, link, counts[pk]) for pk, name, link, of in named if pk in counts]
    else:
        parts: dict[int, list[Counts]] = {}
        for pk, of in servers.values_list("pk", "organization_id"):
            if pk in counts:
                parts.setdefault(of, []).append(counts[pk])
        rows = [Row(*organizations[of], None, "", "", sum_of(each)) for of, each in parts.items()]
    return sorted(rows, key=lambda row: (-getattr(row.counts, kind), row.organization, row.server))
