"""The summary of an address's page: state, counts, charts, pools, identity, and what bounds or drains it."""

import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from core.compiled import Compiled
from ippools import blocklists
from ippools.models import AddressCap, AddressDrain, IPAddress, Listing, WarmUp
from panel import charts
from panel.pages import bounded, drains, warm_up_overview
from panel.pages.address_states import STATES, identity_of, state_in_a_word, template_url
from panel.viewer import Viewer
from servers import spf_coverage
from servers.access import pools_seen_by, servers_of
from stats.reports.queries import sent_this_month

SHOWN_POOLS = 20
NAMED_BACK_OFFS = 2
# What few addresses have, or ever had. Asked by one statement that is made once: to make those that read it takes longer than
# all else that is done with nothing.
_PARTS: tuple[Any, ...] = (Listing, AddressCap, AddressDrain, WarmUp)
_HAS = Compiled(
    (int,),
    lambda pk: (
        IPAddress.objects.filter(pk=pk)
        .annotate(
            **{f"has_{index}": Exists(part.objects.filter(address=OuterRef("pk"))) for index, part in enumerate(_PARTS)}
        )
        .values_list(*(f"has_{index}" for index in range(len(_PARTS))))
    ),
)


def summary(record: IPAddress, viewer: Viewer, now: datetime.datetime) -> dict[str, Any]:
    """Return the context of `panel/address/summary.html`, without what depends on the page's own address."""
    shown = list(pools_seen_by(viewer.user).filter(members__ip_address=record).distinct().order_by("pk")[:SHOWN_POOLS])
    is_listed, is_bounded, is_drained, warms_up = _HAS.first(record.pk) or (True,) * 4
    chart = charts.address_chart(record.pk, now, explores=viewer.is_platform)
    context = {
        "address": record,
        "chart": chart,
        "address_pools": shown,
        "sent": {"today": chart["sent_today"], "month": sent_this_month(record.pk, now)},
        # Templates are the platform's.
        "template_url": template_url(record.template_id) if viewer.is_platform else "",
        **identity_of(record),
        "coverage": spf_coverage.of_pools(
            [pool.pk for pool in shown], None if viewer.is_platform else servers_of(viewer.user)
        ),
        "listings": blocklists.of_address(record.pk) if is_listed else [],
        **(bounded.of_address(record.pk, now) if is_bounded else bounded.NOTHING),
        **(drains.of_addresses([record.pk], is_platform=viewer.is_platform) if is_drained else drains.NOTHING),
        "may_end_caps": viewer.is_platform,
    }
    if warms_up and (found := warm_up_overview.of_address(record.pk)) is not None:
        # Its own page is the platform's.
        context["warm_up"] = {**found, "may_act": viewer.is_platform}
    return context | _state(record, context)


def _state(record: IPAddress, context: dict[str, Any]) -> dict[str, Any]:
    """Return the state in a word, its colour, and in short what else is so."""
    reduced = [each for each in context["bounded"] if each["is_back_off"]]
    warm_up = context.get("warm_up")
    state = state_in_a_word(
        is_paused=record.delivery_paused,
        is_drained=any(each["drain"].is_in_effect() for each in context["drains"]),
        is_redirected=record.redirect_id is not None,
        backs_off=bool(reduced),
        is_warming=warm_up is not None,
    )
    notes = []
    if reduced:
        recipients = ", ".join(each["recipients"] for each in reduced[:NAMED_BACK_OFFS])
        more = f" and {len(reduced) - NAMED_BACK_OFFS} more" if len(reduced) > NAMED_BACK_OFFS else ""
        notes.append(f"back-off: {recipients}{more}")
    if warm_up is not None:
        notes.append(warm_up["progress"])
    return {"state": state, "state_class": STATES[state], "state_notes": notes}
