"""Caps in effect, for the pages of an address, a template and a program."""

import datetime
from typing import Any

from django.db.models import QuerySet

from alerts.topics.addresses import recipients_of
from ippools.models import AddressCap
from panel.formatting import limits_in_words
from stats.counts import buckets
from stats.reports import reasons
from throttling.limits import CapKind

# So many are listed, the newest.
SHOWN = 20
# So many domains of a cap's recipients stand in a list.
FEW = 3
# So many kinds of replies of today are told of an address that backs off.
MOST_REPLIES = 3


# The context where no cap is in effect.
NOTHING: dict[str, Any] = {"bounded": [], "has_more_bounded": False}


def context_of(rows: QuerySet[AddressCap], now: datetime.datetime) -> dict[str, Any]:
    """Return the context of `panel/parts/bounded.html` for those that are in effect: three queries at most."""
    active = (
        rows.filter(pk__in=AddressCap.objects.active(now).values("pk"))
        .select_related("address")
        .prefetch_related("rule__domains")
    )
    found = list(active.order_by("-began_at", "-pk")[: SHOWN + 1])
    return {"bounded": [_row(each) for each in found[:SHOWN]], "has_more_bounded": len(found) > SHOWN}


def of_address(address_id: int, now: datetime.datetime) -> dict[str, Any]:
    """Return the same of one address; where it backs off, with the replies that it got most often today."""
    context = context_of(AddressCap.objects.filter(address_id=address_id), now)
    if any(each["is_back_off"] for each in context["bounded"]):
        today = buckets.day_of(now)
        context["bounding_replies"] = reasons.by_signature([address_id], today, today, limit=MOST_REPLIES)
    return context


def recipients_in_short(cap: AddressCap) -> str:
    """Return the same in a line: a provider has dozens of domains, of which the first few say which it is."""
    first, *others = recipients_of(cap).split(", ")
    shown = [first, *others[: FEW - 1]]
    more = len(others) + 1 - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _row(cap: AddressCap) -> dict[str, Any]:
    return {
        "cap": cap,
        "kind": cap.get_kind_display(),
        "is_back_off": cap.kind == CapKind.THROTTLE_PROGRAM.value,
        "recipients": recipients_in_short(cap),
        "bounds": limits_in_words(cap.max_concurrent_connections or 0, cap.max_messages_per_hour or 0),
    }
