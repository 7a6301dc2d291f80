"""Activates the viewer's time zone."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

PANEL = "/admin/"


class ViewersZone:
    """Middleware that shows times in the zone that the signed-in person chose. Only the panel: the API speaks UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PANEL) or not request.user.is_authenticated:
            return self.get_response(request)
        with timezone.override(zone_named(request.user.time_zone)):
            return self.get_response(request)


def zone_named(name: str) -> zoneinfo.ZoneInfo:
    """Return the zone of this name, or UTC where this machine does not know it (its data may be older than the row)."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
