"""Noisy neighbours: whose mail brought an address or a pool its refusals, and what would be left without it."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from panel.viewer import viewer_of
from stats.counts import buckets
from stats.reports import neighbours

# How many hours can be asked for: the events of three days are read within seconds.
HOURS = (6, 24, 72)
USUAL_HOURS = 24
# So many servers and domains are shown, and so many of them hour by hour.
SHOWN = 25
SHOWN_BY_HOUR = 3


def page(admin: Any, request: HttpRequest, record: Any, addresses: Collection[int]) -> HttpResponse:
    """Answer for `?hours=…`. The platform's staff only: it tells of every tenant that sends by these addresses."""
    if record is None:
        raise Http404
    if not viewer_of(request).is_platform or not admin.has_view_permission(request, record):
        raise PermissionDenied
    asked = request.GET.get("hours", "")
    hours = int(asked) if asked in map(str, HOURS) else USUAL_HOURS
    found = neighbours.of_addresses(addresses, hours=hours, now=timezone.now())
    loudest = [each for each in found.servers if each.tally.refused][:SHOWN_BY_HOUR]
    context = {
        **admin.admin_site.each_context(request),
        "title": f"Noisy neighbours of {record}",
        "opts": admin.opts,
        "original": record,
        "back": admin.url_of(record.pk),
        "hours": hours,
        "choices": HOURS,
        "total": found.total,
        "subjects": [
            ("Servers", "servers-title", found.servers[:SHOWN], max(0, len(found.servers) - SHOWN), "servers"),
            ("Sender domains", "domains-title", found.domains[:SHOWN], max(0, len(found.domains) - SHOWN), ""),
        ],
        "loudest": loudest,
        "by_hour": [
            {
                "at": buckets.start_of_hour(hour),
                "numbers": [each.hours.get(hour, 0) for each in loudest],
                "all": sum(each.hours.get(hour, 0) for each in found.servers),
            }
            for hour in range(found.last_hour, found.first_hour - 1, -1)
        ],
    }
    return TemplateResponse(request, "panel/neighbours.html", context)
