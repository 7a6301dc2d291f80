"""Delivery state and DNS identity of an address, in one word each."""

import datetime
from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from django.urls import reverse

from core.sql_lists import ids as listed
from dnschecks.checked import DNSStatus
from ippools.models import AddressCap, AddressDrain, AddressIdentity, IPAddress
from throttling.limits import CapKind

# The worst comes first, and stands where several are so; with the class that colours it.
STATES = {
    "paused": "panel-bad",
    "drained": "panel-warn",
    "redirected": "panel-warn",
    "back-off": "panel-warn",
    "warming up": "panel-warn",
    "sending": "panel-good",
}
IDENTITY_CHECKS = {"ptr": "Name (PTR)", "fcrdns": "Name leads back (FCrDNS)", "helo": "HELO name"}


def identity_of(record: IPAddress) -> dict[str, Any]:
    """Return the DNS identity of the address: each check with its status and the sentence on what to change.

    The identity should have been read with the address.
    """
    found: AddressIdentity | None = getattr(record, "identity", None)
    checks = [
        {
            "label": label,
            "status": None if found is None else getattr(found, f"{name}_status"),
            "error": "" if found is None else getattr(found, f"{name}_error"),
        }
        for name, label in IDENTITY_CHECKS.items()
    ]
    return {"identity": found, "identity_checks": checks}


def identity_state(record: IPAddress) -> str:
    """Return the state of the address's DNS identity in a word; the identity must be loaded."""
    found = getattr(record, "identity", None)
    statuses = {getattr(found, f"{name}_status", None) for name in IDENTITY_CHECKS}
    if statuses & {DNSStatus.MISSING, DNSStatus.INVALID}:
        return "wrong"
    return "right" if statuses == {DNSStatus.OK} else "not checked"


def template_url(template_id: int) -> str:
    """Return the URL of an address's template."""
    return reverse("admin:throttling_throttlingtemplate_change", args=[template_id])


def state_in_a_word(
    *, is_paused: bool, is_drained: bool, is_redirected: bool, backs_off: bool, is_warming: bool
) -> str:
    """Return the delivery state of an address, one of STATES."""
    holding = (is_paused, is_drained, is_redirected, backs_off, is_warming, True)
    return next(word for word, holds in zip(STATES, holding, strict=True) if holds)


def drained(ids: Iterable[int]) -> set[int]:
    """Return those of the addresses that are drained now. One query."""
    rows = AddressDrain.objects.in_effect().filter(address__in=listed(ids))
    return set(rows.values_list("address_id", flat=True))


def back_offs(ids: Iterable[int], now: datetime.datetime) -> dict[int, int]:
    """Return for each address that backs off how many of its throttles do. One query."""
    rows = AddressCap.objects.active(now).filter(address__in=listed(ids), kind=CapKind.THROTTLE_PROGRAM.value)
    return dict(rows.order_by().values("address_id").annotate(total=Count("pk")).values_list("address_id", "total"))
