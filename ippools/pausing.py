"""Pause and resume delivery by an address, with a reason and an optional end."""

import datetime
from typing import Any

from core import ends
from core.acts import assign, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor
from core.errors import Fault, Invalid
from core.texts import is_storable
from ippools.addresses import lock_addresses
from ippools.ip_addresses import locked_address
from ippools.models import IPAddress
from ippools.models.address import REASON_LENGTH


@atomic_act
def pause(
    address_id: int, *, reason: str, until: datetime.datetime | None, at: datetime.datetime, actor: Actor
) -> IPAddress:
    """Pause delivery by the address until `until` (None: until it is resumed). A paused address gets the new reason and end."""
    faults = []
    if not 1 <= len(reason.strip()) <= REASON_LENGTH or not is_storable(reason):
        faults.append(Fault("reason", f"must be from 1 to {REASON_LENGTH} characters in length"))
    faults += ends.faults_of("until", until, at=at)
    if faults:
        raise Invalid(*faults)
    return _write(
        address_id, actor, "ip_address.paused", delivery_paused=True, pause_reason=reason.strip(), paused_until=until
    )


@atomic_act
def resume(address_id: int, *, actor: Actor) -> IPAddress:
    """Resume delivery by the address; no change if it is not paused."""
    return _write(address_id, actor, "ip_address.resumed", delivery_paused=False, pause_reason="", paused_until=None)


def resume_due(*, at: datetime.datetime) -> int:
    """Resume every address whose pause has ended; return their number."""
    resumed = 0
    for pk in IPAddress.objects.filter(paused_until__lte=at).order_by("pk").values_list("pk", flat=True):
        resumed += _resume_if_due(pk, at)
    return resumed


@atomic_act
def _resume_if_due(address_id: int, at: datetime.datetime) -> bool:
    lock_addresses()
    # The pause may have been extended in the meantime.
    if not IPAddress.objects.filter(pk=address_id, paused_until__lte=at).exists():
        return False
    resume(address_id, actor=Actor.system())
    return True


def _write(address_id: int, actor: Actor, act: str, **columns: Any) -> IPAddress:
    address = locked_address(address_id)
    before = address.document()
    assign(address, columns)
    save_change(address, before, act=act, actor=actor, document=IPAddress.document)
    return address
