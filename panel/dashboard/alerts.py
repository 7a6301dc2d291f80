"""Acknowledge and snooze the alerts of “Needs attention”."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone

from alerts.conditions import CONDITIONS
from alerts.items import Item
from core import alerts
from core.errors import Refused
from core.models import SetAside
from panel.site_mixin import SiteMixin
from panel.viewer import Viewer, viewer_of

# What one may choose, by hours; an acknowledged alert stays in sight for as long as any may.
SNOOZES = ((4, "4 hours"), (24, "24 hours"), (72, "3 days"), (168, "7 days"))
_SALT = "panel.dashboard.alerts"


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """An alert for display: who acknowledged or snoozed it, and the token to do so."""

    item: Item
    token: str
    aside: SetAside | None

    @property
    def icon(self) -> str:
        return CONDITIONS[self.item.condition].icon


def audience_of(viewer: Viewer) -> str:
    """Return the audience of acknowledging: all of the platform's staff, or the member alone."""
    return "platform" if viewer.is_platform else f"user:{viewer.user.pk}"


def grouped_alerts(items: Sequence[Item], viewer: Viewer, now: datetime.datetime) -> dict[str, Any]:
    """Return the alerts to show, those that are acknowledged last, and those that are snoozed. One query."""
    aside = alerts.in_force(audience=audience_of(viewer), at=now)
    shown = [ShownAlert(item, signing.dumps([item.key, item.text], salt=_SALT), aside.get(item.key)) for item in items]
    return {
        "attention": [each for each in shown if each.aside is None],
        "acknowledged": [each for each in shown if each.aside is not None and not each.aside.is_hidden],
        "snoozed": [each for each in shown if each.aside is not None and each.aside.is_hidden],
        "snoozes": SNOOZES,
    }


class Alerts(SiteMixin):
    """Mixin of the admin site: acknowledging and snoozing alerts."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path("alerts/", self.admin_view(self.set_alert_aside), name="alerts")]
        return [*own, *super().get_urls()]

    def set_alert_aside(self, request: HttpRequest) -> HttpResponse:
        """Acknowledge or snooze an alert of the front page, or show it again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = HttpResponseRedirect(reverse("admin:index"))
        try:
            # Signed by the page that showed it, so that users cannot write arbitrary text into the audit trail.
            key, label = signing.loads(request.POST.get("alert", ""), salt=_SALT)
        except (signing.BadSignature, ValueError):
            messages.error(request, "The alert could not be found.")
            return back
        viewer, now = viewer_of(request), timezone.now()
        whom = {"audience": audience_of(viewer), "key": key, "actor": viewer.actor}
        hours = {str(number): number for number, _ in SNOOZES}.get(request.POST.get("do", ""))
        try:
            if request.POST.get("do") == "again":
                alerts.take_back(**whom)
            elif hours is not None:
                until = now + datetime.timedelta(hours=hours)
                alerts.set_aside(**whom, label=label, is_hidden=True, until=until, at=now)
            else:
                alerts.set_aside(**whom, label=label, is_hidden=False, until=now + alerts.LONGEST, at=now)
        except Refused as refusal:
            messages.error(request, refusal.message)
        return back
