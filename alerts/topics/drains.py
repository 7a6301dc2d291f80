"""Addresses in trouble: listed by a blocklist, drained, or in a trouble that drains nothing.

Organizations are told that an address of theirs is listed or drained; the numbers behind it are of whole pools, so they are the
platform's.
"""

import datetime
from collections.abc import Sequence

from django.db.models import F
from django.utils import formats, timezone

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import MOMENT, Look
from ippools.models import AddressDrain, Listing
from throttling.drain import Effect, TroubleKind

# What a trouble is called in a line.
KINDS = {
    TroubleKind.LISTED.value: "listed by a blocklist",
    TroubleKind.IDENTITY.value: "DNS identity broken",
    TroubleKind.BACK_OFF.value: "back-off at several providers",
    TroubleKind.ACCEPTANCE.value: "accepted far less than the pool’s other addresses",
}
_LEVELS = {Effect.DRAINED.value: "warn", Effect.TOLD.value: "warn", Effect.WITHHELD.value: "bad"}
_LISTED = Group("bad", "address_listed", "listings of addresses by blocklists", "ippools.ipaddress")
_DRAINED = Group("warn", "address_drained", "addresses are drained or in trouble", "ippools.ipaddress")
GROUPS = (_LISTED, _DRAINED)


def questions(look: Look) -> list[Question]:
    """Return what is asked: listings that were seen twice, an hour apart, and open drains."""
    listed = among(Listing.objects.confirmed(MOMENT), "address_id", look.scope.address_ids)
    drains = AddressDrain.objects.open() if look.scope.is_platform else AddressDrain.objects.in_effect()
    of_listing = {
        "pk": F("address_id"),
        "ipv4": F("address__ipv4"),
        "list": F("blocklist_id"),
        "zone": F("blocklist__name"),
    }
    of_listing |= {"since": F("first_seen_at"), "told": F("listing_error")}
    of_drain = {"pk": F("address_id"), "ipv4": F("address__ipv4"), "began": F("began_at"), "drained": F("drained_at")}
    of_drain |= {name: F(name) for name in ("effect", "providers", "kinds", "reason")}
    return [
        Question("address_listed", listed, of_listing, look.named),
        Question("address_drained", among(drains, "address_id", look.scope.address_ids), of_drain, look.named),
    ]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines."""

    def drained(row: Row) -> Item:
        return _drained(row, knows_reasons=look.scope.is_platform)

    return [
        *lines(answers["address_listed"], named=look.named, group=_LISTED, one=_listed),
        *lines(answers["address_drained"], named=look.named, group=_DRAINED, one=drained),
    ]


def recipients(providers: Sequence[str]) -> str:
    """Return for whose mail an address is drained."""
    return ", ".join(providers) or "all recipients"


def kinds(found: Sequence[str]) -> str:
    """Return what is wrong, without numbers."""
    return "; ".join(KINDS.get(kind, kind) for kind in found)


def _listed(row: Row) -> Item:
    text = f"{row['ipv4']} is listed by {row['zone']} since {_local(row.moment('since'))}"
    url = f"{change_url('ippools.ipaddress', row['pk'])}#blocklist-{row['list']}"
    return Item("bad", "address_listed", text, row["told"], url)


def _drained(row: Row, *, knows_reasons: bool) -> Item:
    since = _local(row.moment("drained") or row.moment("began"))
    if row["effect"] == Effect.DRAINED.value:
        text = f"is drained for {recipients(row.parts('providers'))} since {since}"
    elif row["effect"] == Effect.WITHHELD.value:
        text = f"is in trouble since {since}, and not drained"
    else:
        text = f"is in trouble since {since}; the pool only watches"
    detail = row["reason"] if knows_reasons else f"Because of: {kinds(row.parts('kinds'))}"
    url = change_url("ippools.ipaddress", row["pk"])
    return Item(_LEVELS[row["effect"]], "address_drained", f"{row['ipv4']} {text}", detail, url)


def _local(at: datetime.datetime | None) -> str:
    return "" if at is None else formats.localize(timezone.localtime(at))
