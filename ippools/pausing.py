"""Pausing an address and resuming it: why, until when, and by itself when that time has come."""

import datetime
from typing import Any

from core.attributes import is_storable
from core.audit import Actor, record
from core.errors import Fault, Invalid, NotFound
from core.races import atomic_act
from ippools.addresses import lock_addresses
from ippools.ip_addresses import document
from ippools.models import IPAddress
from ippools.models.address import REASON_LENGTH


@atomic_act
def pause(
    address_id: int, *, reason: str, until: datetime.datetime | None, at: datetime.datetime, actor: Actor
) -> IPAddress:
    """Stop all mail by the address; `until` None: until somebody resumes it. One that is paused gets the new reason and end."""
    faults = []
    if not 1 <= len(reason.strip()) <= REASON_LENGTH or not is_storable(reason):
        faults.append(Fault("reason", f"must be from 1 to {REASON_LENGTH} characters in length"))
    if until is not None and until <= at:
        faults.append(Fault("until", "must be in the future"))
    if faults:
        raise Invalid(*faults)
    return _write(
        address_id, actor, "ip_address.paused", delivery_paused=True, pause_reason=reason.strip(), paused_until=until
    )


@atomic_act
def resume(address_id: int, *, actor: Actor) -> IPAddress:
    """Let mail leave by the address again; one that is not paused stays as it is."""
    return _write(address_id, actor, "ip_address.resumed", delivery_paused=False, pause_reason="", paused_until=None)


def resume_due(*, at: datetime.datetime) -> int:
    """Resume every address whose pause has come to its end; returns how many there were."""
    resumed = 0
    for pk in IPAddress.objects.filter(paused_until__lte=at).order_by("pk").values_list("pk", flat=True):
        resumed += _resume_if_due(pk, at)
    return resumed


@atomic_act
def _resume_if_due(address_id: int, at: datetime.datetime) -> bool:
    lock_addresses()
    # Somebody may have paused it for longer meanwhile.
    if not IPAddress.objects.filter(pk=address_id, paused_until__lte=at).exists():
        return False
    resume(address_id, actor=Actor.system())
    return True


def _write(address_id: int, actor: Actor, act: str, **columns: Any) -> IPAddress:
    lock_addresses()
    address = IPAddress.objects.select_for_update(of=("self",)).filter(pk=address_id).first()
    if address is None:
        raise NotFound("The IP address could not be found")
    if all(getattr(address, name) == value for name, value in columns.items()):
        return address
    before = document(address)
    for name, value in columns.items():
        setattr(address, name, value)
    address.save(update_fields=[*columns, "updated_at"])
    record(actor=actor, act=act, target=address, before=before, after=document(address))
    return address
