"""Addresses that are paused, back off, repeat a day of their warm-up, or whose DNS identity is wrong."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import formats, timezone

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import MOMENT, YESTERDAY, Look
from ippools.models import AddressCap, IPAddress, IPPoolMember, WarmUpDay
from throttling.limits import CapKind
from throttling.warmup import Change

# The columns of an identity, and what the names are called.
IDENTITY = (("ptr", "PTR"), ("fcrdns", "FCrDNS"), ("helo", "HELO name"))
WRONG = ("missing", "invalid")
_PAUSED = Group("note", "address_paused", "addresses are paused", "ippools.ipaddress")
_REDUCED = Group("warn", "back_off", "addresses back off: receivers push their mail back", "ippools.ipaddress")
_REPEATED = Group("warn", "warm_up_repeated", "addresses repeat a day of their warm-up", "ippools.ipaddress")
_UNIDENTIFIED = Group("warn", "address_identity", "addresses fail their DNS checks", "ippools.ipaddress")
GROUPS = (_PAUSED, _REDUCED, _REPEATED, _UNIDENTIFIED)


def questions(look: Look) -> list[Question]:
    """Return what is asked. Of a paused address, that is all that is told."""
    addresses = among(IPAddress.objects.all(), "pk", look.scope.address_ids)
    sending = addresses.filter(delivery_paused=False)
    reduced = _reductions(MOMENT).filter(address=OuterRef("pk"))
    identity = {f"{name}_status": F(f"identity__{name}_status") for name, _ in IDENTITY}
    pause = {name: F(name) for name in ("pk", "ipv4", "pause_reason", "paused_until")}
    days = repeated(YESTERDAY).filter(warm_up__address__delivery_paused=False)
    of_day = {name: F(name) for name in ("number", "change", "reason", "bad_days")}
    of_day |= {"pk": F("warm_up__address_id"), "ipv4": F("warm_up__address__ipv4")}
    return [
        Question("address_paused", addresses.filter(delivery_paused=True), pause, look.named),
        Question("back_off", sending.filter(Exists(reduced)), {"pk": F("pk")}, look.named),
        Question(
            "address_identity", sending.filter(failing()), {"pk": F("pk"), "ipv4": F("ipv4")} | identity, look.named
        ),
        Question("warm_up_repeated", among(days, "warm_up__address_id", look.scope.address_ids), of_day, look.named),
    ]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines; two queries of caps where a few addresses back off."""
    reduced = answers["back_off"]
    newest: dict[int, AddressCap] = {}
    if reduced and reduced[0].of_all <= look.named:
        newest = _newest(look.at, [row["pk"] for row in reduced])
        # A cap may have ended since.
        reduced = [row for row in reduced if row["pk"] in newest]
    return [
        *lines(
            reduced,
            named=look.named,
            group=_REDUCED,
            one=lambda row: _reduced(newest[row["pk"]]),
        ),
        *lines(answers["address_identity"], named=look.named, group=_UNIDENTIFIED, one=_unidentified),
        *lines(answers["warm_up_repeated"], named=look.named, group=_REPEATED, one=_repeated),
        *lines(answers["address_paused"], named=look.named, group=_PAUSED, one=_paused),
    ]


def failing() -> Q:
    """Return the condition of addresses in pools whose identity is wrong."""
    condition = Q()
    for name, _ in IDENTITY:
        condition |= Q(**{f"identity__{name}_status__in": WRONG})
    return condition & Q(Exists(IPPoolMember.objects.filter(ip_address=OuterRef("pk"))))


def repeated(yesterday: datetime.date) -> QuerySet[WarmUpDay]:
    """Return the latest days of warm-ups that did not advance; what is held by hand is intended."""
    later = WarmUpDay.objects.filter(warm_up=OuterRef("warm_up"), on__gt=OuterRef("on"))
    latest = WarmUpDay.objects.filter(~Exists(later), warm_up__ended_at=None, warm_up__is_locked=False)
    return latest.filter(on__gte=yesterday, change__in=(Change.REPEATED, Change.WENT_BACK))


def _reductions(at: datetime.datetime) -> QuerySet[AddressCap]:
    return AddressCap.objects.active(at).filter(kind=CapKind.THROTTLE_PROGRAM.value)


def _newest(at: datetime.datetime, address_ids: Sequence[int]) -> dict[int, AddressCap]:
    rows = _reductions(at).filter(address__in=address_ids).select_related("address", "rule")
    return {cap.address_id: cap for cap in rows.prefetch_related("rule__domains").order_by("began_at", "pk")}


def recipients_of(cap: AddressCap) -> str:
    """Return to whom mail is bounded."""
    if cap.domains:
        return ", ".join(cap.domains)
    if cap.is_default:
        return "domains that no rule matches"
    return ", ".join(each.pattern for each in cap.rule.domains.all()) if cap.rule is not None else "everybody"


def wrong_names(found: dict[str, Any] | Row) -> tuple[str, ...]:
    """Return what is wrong of an identity, as "PTR missing"."""
    return tuple(f"{word} {found[f'{name}_status']}" for name, word in IDENTITY if found[f"{name}_status"] in WRONG)


def _url(pk: int) -> str:
    return change_url("ippools.ipaddress", pk)


def _reduced(cap: AddressCap) -> Item:
    since = formats.localize(timezone.localtime(cap.began_at))
    text = f"{cap.address.ipv4} backs off for {recipients_of(cap)} since {since}"
    return Item("warn", "back_off", text, cap.reason, _url(cap.address_id))


def _unidentified(row: Row) -> Item:
    text = f"Address {row['ipv4']} fails its DNS checks"
    return Item("warn", "address_identity", text, ", ".join(wrong_names(row)), _url(row["pk"]))


def _repeated(row: Row) -> Item:
    does = "goes back to" if row["change"] == Change.WENT_BACK else "repeats"
    text = f"The warm-up of {row['ipv4']} {does} day {row['number']}"
    return Item("warn", "warm_up_repeated", text, row["reason"], _url(row["pk"]))


def _paused(row: Row) -> Item:
    until = row.moment("paused_until")
    end = f"until {formats.localize(timezone.localtime(until))}" if until else ""
    why = "; ".join(filter(None, (row["pause_reason"].rstrip("."), end))) or "It sends no mail"
    return Item("note", "address_paused", f"{row['ipv4']} is paused", why, _url(row["pk"]))
