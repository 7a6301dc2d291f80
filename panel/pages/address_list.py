"""The columns of the list of addresses, and its orders: which are in trouble, and which send most."""

import datetime
from collections.abc import Container, Iterable, Mapping
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import display

from alerts import pool_load
from core.sql_lists import ids as listed
from ippools.models import IPAddress, IPPoolMember
from ippools.numeric_order import AsNumber
from panel import volumes, without_counts
from panel.formatting import in_short
from panel.lists import Ranking
from panel.pages import warm_up_overview
from panel.pages.address_states import STATES, back_offs, drained, identity_state, state_in_a_word
from panel.viewer import viewer_of
from servers.access import pools_seen_by
from stats.reports import reputation
from stats.reports.volumes import by_address

_LABELS = {"panel-good": "success", "panel-warn": "warning", "panel-bad": "danger"}
IDENTITIES = ("wrong", "not checked", "right")


def accepted_shares(ids: Iterable[int], now: datetime.datetime) -> dict[int, float]:
    """Return the accepted share of the attempts of 7 days of each address that made any."""
    days = pool_load.by_day(ids, now)
    shares = {pk: reputation.accepted_share(reputation.total(list(found.values()))) for pk, found in days.items()}
    return {pk: share for pk, share in shares.items() if share is not None}


def states(records: Iterable[Any], backing_off: Container[int]) -> dict[int, str]:
    """Return the state of each address in a word, by which of them back off. Two queries."""
    rows = list(records)
    ids = [row.pk for row in rows]
    in_drain, warming = drained(ids), warm_up_overview.warming(ids)
    return {
        row.pk: state_in_a_word(
            is_paused=row.delivery_paused,
            is_drained=row.pk in in_drain,
            is_redirected=row.redirect_id is not None,
            backs_off=row.pk in backing_off,
            is_warming=row.pk in warming,
        )
        for row in rows
    }


def _state_ranks(page: Any, request: HttpRequest, ids: list[int]) -> Mapping[int, int]:
    ranks = {word: rank for rank, word in enumerate(STATES)}
    rows = IPAddress.objects.filter(pk__in=listed(ids)).only("delivery_paused", "redirect_id")
    return {pk: ranks[word] for pk, word in states(rows, back_offs(ids, timezone.now())).items()}


def _identity_ranks(page: Any, request: HttpRequest, ids: list[int]) -> Mapping[int, int]:
    rows = IPAddress.objects.filter(pk__in=listed(ids)).select_related("identity")
    return {row.pk: IDENTITIES.index(identity_state(row)) for row in rows}


def _share_ranks(page: Any, request: HttpRequest, ids: list[int]) -> Mapping[int, float]:
    return accepted_shares(ids, timezone.now())


def _back_off_ranks(page: Any, request: HttpRequest, ids: list[int]) -> Mapping[int, int]:
    found = back_offs(ids, timezone.now())
    return {pk: found.get(pk, 0) for pk in ids}


RANKINGS: dict[str, Ranking] = {
    **volumes.RANKINGS,
    "state": _state_ranks,
    "accepted": _share_ranks,
    "dns_identity": _identity_ranks,
    "back_off": _back_off_ranks,
}


class AddressList(volumes.VolumeColumns):
    """Mixin of the addresses' page: what their list shows."""

    list_display: ClassVar[list[str]] = [
        "ipv4", "state", "pool_names", "accepted", "dns_identity", "back_off", *volumes.COLUMNS, "template", "host_name",
    ]  # fmt: skip
    ordering: ClassVar[tuple[Any, ...]] = (AsNumber("ipv4"),)
    greatest_first: ClassVar[tuple[str, ...]] = (*volumes.COLUMNS, "back_off")
    rankings: ClassVar[Mapping[str, Ranking]] = RANKINGS
    volumes_of = staticmethod(by_address)

    @display(description="Host name", ordering="hostname")
    def host_name(self, record: IPAddress) -> str:
        # In a narrow column it is broken at its dots.
        return format_html_join(mark_safe(".<wbr>"), "{}", ((label,) for label in record.hostname.split(".")))

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        """Add data of columns to the rows of one page."""
        ids, now = [record.pk for record in records], timezone.now()
        self.add_volumes(request, records, now)
        shares = without_counts.read(request, lambda: accepted_shares(ids, now)) or {}
        backing_off = back_offs(ids, now)
        in_words = states(records, backing_off)
        members = IPPoolMember.objects.filter(ip_address__in=ids, pool__in=pools_seen_by(viewer_of(request).user))
        names: dict[int, list[str]] = {}
        for address_id, name in members.order_by("pool__name_key").values_list("ip_address_id", "pool__name"):
            names.setdefault(address_id, []).append(name)
        for record in records:
            record.share = shares.get(record.pk)
            record.back_offs = backing_off.get(record.pk, 0)
            record.state_in_a_word = in_words[record.pk]
            record.names = names.get(record.pk, [])

    @display(
        description="State",
        ordering="state",
        label={word: _LABELS[style] for word, style in STATES.items()},
    )
    def state(self, record: Any) -> str:
        return record.state_in_a_word

    @display(description="Pools", ordering="memberships_total")
    def pool_names(self, record: Any) -> str:
        return in_short(record.names) or "none"

    @display(description="Accepted (7 days)", ordering="accepted")
    def accepted(self, record: Any) -> str:
        return "–" if record.share is None else f"{record.share * 100:.1f} %"

    @display(
        description="DNS identity",
        ordering="dns_identity",
        label={"right": "success", "wrong": "danger", "not checked": "default"},
    )
    def dns_identity(self, record: IPAddress) -> str:
        return identity_state(record)

    @display(description="Back-off", ordering="back_off")
    def back_off(self, record: Any) -> str:
        if not record.back_offs:
            return "–"
        return "1 throttle" if record.back_offs == 1 else f"{record.back_offs} throttles"
