"""Blocklists: the DNSBL zones that are asked about addresses, whether they can be believed, and whom they list."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from core.audit import snapshot
from core.related_counts import count_of
from ippools import blocklists
from ippools.models import Blocklist
from panel import deletion
from panel.forms.base import ActingForm
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of

FIELDS = ("name", "ranges", "resolver", "lists_ipv4", "lists_ipv6", "interval", "is_enabled")
# So many listed addresses stand on the page.
SHOWN = 100
# So many addresses that it was asked about are counted.
MOST_COUNTED = 10_000


class BlocklistForm(ActingForm):
    """A blocklist's own fields."""

    helps = {
        "name": "The domain of the zone, such as zen.spamhaus.org. Read the terms of use of its operator first.",
        "ranges": "The answers that its documentation calls a listing: 127.0.0.2-127.0.0.11, 127.0.0.20. Other answers "
        "count as no listing.",
        "resolver": "The DNS server to ask, such as 192.0.2.53. Leave empty for the configured ones. Many blocklists "
        "refuse public resolvers.",
        "interval": "Minutes between two questions about an address. An address that is listed is asked about after "
        "61 minutes at the latest.",
    }

    def act(self) -> Blocklist:
        given = {name: self.cleaned_data[name] for name in FIELDS}
        if self.is_new:
            return blocklists.create(actor=self.actor, **given)
        return blocklists.change(self.instance.pk, actor=self.actor, **given)


@admin.register(Blocklist)
class BlocklistAdmin(PanelAdmin):
    """Blocklists. The worker asks them."""

    form = BlocklistForm
    list_display = ["name", "state", "listed_count", "ranges", "resolver", "is_enabled", "dns_checked_at"]
    list_filter = ["is_enabled"]
    search_fields = ["name"]
    search_help_text = "Zone"
    fields = list(FIELDS)
    change_form_outer_before_template = "panel/blocklist/summary.html"
    restorable = FIELDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Not by a join, which would go through the answers about all addresses.
        listed = count_of(Blocklist, "listings", Q(first_seen_at__isnull=False))
        return super().get_queryset(request).annotate(listed_total=listed)

    @display(
        description="State",
        label={"answers": "success", "not used": "danger", "not checked": "default", "off": "default"},
    )
    def state(self, record: Blocklist) -> str:
        return state_of(record)

    @display(description="Listed addresses", ordering="listed_total")
    def listed_count(self, record: Any) -> int:
        return record.listed_total

    def summary_of(self, request: HttpRequest, record: Blocklist) -> dict[str, Any]:
        listed = record.listings.filter(first_seen_at__isnull=False).select_related("address")
        found = list(listed.order_by("first_seen_at", "pk")[: SHOWN + 1])
        asked = record.listings.exclude(dns_checked_at=None).order_by()[: MOST_COUNTED + 1].count()
        return {
            "blocklist": record,
            "state": state_of(record),
            "listings": found[:SHOWN],
            "has_more_listings": len(found) > SHOWN,
            "asked_total": min(asked, MOST_COUNTED),
            "has_more_asked": asked > MOST_COUNTED,
        }

    # Nothing can stand against it; tried, it would delete what may be many rows.
    obstacles = deletion.none

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        blocklists.delete(record.pk, actor=actor_of(request))

    def restore(self, request: HttpRequest, record: Blocklist, state: dict[str, Any]) -> None:
        given: Any = state
        blocklists.change(record.pk, actor=actor_of(request), **given)

    def state_of(self, record: Any) -> dict[str, Any]:
        return snapshot(record)


def state_of(record: Blocklist) -> str:
    """Return in words whether the zone's answers are used."""
    if not record.is_enabled:
        return "off"
    if record.dns_checked_at is None:
        return "not checked"
    return "answers" if record.zone_status == "ok" else "not used"
