"""Delivery state and DNS identity of an address, in one word each."""

from typing import Any

from django.urls import reverse

from dnschecks.checked import DNSStatus
from ippools.models import AddressIdentity, IPAddress

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


def delivery_state(record: IPAddress) -> str:
    """Return the delivery state of the address in a word."""
    if record.delivery_paused:
        return "paused"
    return "sending" if record.redirect_id is None else "redirected"
