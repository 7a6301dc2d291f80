"""The summary of an address's page: state, counts, charts, pools, identity, and what bounds or drains it."""

import datetime
from typing import Any

from ippools import blocklists
from ippools.models import IPAddress
from panel import charts
from panel.pages import bounded, drains, warm_up_overview
from panel.pages.address_states import delivery_state, identity_of, template_url
from panel.viewer import Viewer
from servers import spf_coverage
from servers.access import pools_seen_by, servers_of
from stats.reports.queries import sent_by_address

SHOWN_POOLS = 20


def summary(record: IPAddress, viewer: Viewer, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of `panel/address/summary.html`, without what depends on the page's own address."""
    shown = list(pools_seen_by(viewer.user).filter(members__ip_address=record).distinct().order_by("pk")[:SHOWN_POOLS])
    context = {
        "address": record,
        "state": delivery_state(record),
        "chart": charts.address_chart(record.pk, now, explores=viewer.is_platform),
        "address_pools": shown,
        "sent": {period: sent_by_address([record.pk], period, now)[record.pk] for period in ("today", "month")},
        # Templates are the platform's.
        "template_url": template_url(record.template_id) if viewer.is_platform else "",
        **identity_of(record),
        "coverage": spf_coverage.of_pools([pool.pk for pool in shown], servers_of(viewer.user)),
        "listings": blocklists.of_address(record.pk),
        **bounded.of_address(record.pk, now),
        **drains.of_addresses([record.pk], is_platform=viewer.is_platform),
        "may_end_caps": viewer.is_platform,
    }
    if context["state"] == "sending" and any(each["drain"].is_in_effect() for each in context["drains"]):
        context["state"] = "drained"
    if (found := warm_up_overview.of_address(record.pk)) is not None:
        # Its own page is the platform's.
        context["warm_up"] = {**found, "may_act": viewer.is_platform}
    return context
