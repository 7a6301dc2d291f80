"""Drains of addresses: begun, changed and ended by the decision (throttling.drain), or ended by an operator.

Every step is recorded with its reason. One act undoes a drain: then the address is spared for a time.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.conf import settings

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Fault, Faults, Invalid, NotFound
from core.texts import clean_text
from ippools.models import AddressDrain, IPAddress, IPPool
from ippools.models.drain import REASON_LENGTH
from ippools.models.pool import HIGHEST_SHARE
from throttling.drain import Effect, Mode, Step

# How long an operator can spare an address.
LONGEST_SPARE = datetime.timedelta(days=366)
_ACTS = {Effect.DRAINED: "drain.began", Effect.WITHHELD: "drain.withheld", Effect.TOLD: "drain.told"}


@atomic_act
def take(step: Step, *, domains: Mapping[str, Sequence[str]], at: datetime.datetime, actor: Actor) -> None:
    """Do one step of the decision. `domains` are the patterns of the providers in its scope.

    A step for an address that is gone, or whose drain an operator ended meanwhile, changes nothing.
    """
    # The address is locked, so that two that decide at once follow one another.
    if not IPAddress.objects.select_for_update(of=("self",), no_key=True).filter(pk=step.address_id).exists():
        return
    drain = AddressDrain.objects.open().filter(address_id=step.address_id).first()
    if step.effect is None:
        if drain is not None:
            _end(drain, step.reason, at=at, actor=actor)
        return
    if drain is None:
        if AddressDrain.objects.filter(address_id=step.address_id, spared_until__gt=at).exists():
            return
        drain = AddressDrain(address_id=step.address_id, began_at=at)
    before = snapshot(drain) if drain.pk else None
    assign(drain, _columns(step, domains))
    if step.effect == Effect.DRAINED:
        drain.drained_at = drain.drained_at or at
    drain.save()
    # That its trouble is over is only noted; what follows from it is recorded.
    if step.reason:
        record(actor=actor, act=_ACTS[step.effect], target=drain, before=before, after=snapshot(drain))


def _columns(step: Step, domains: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    assert step.effect is not None
    providers = sorted(step.scope)
    columns: dict[str, Any] = {
        "effect": step.effect.value,
        "providers": providers,
        "domains": sorted({pattern for name in providers for pattern in domains.get(name, [name])}),
        "well_since": step.well_since,
    }
    if step.kinds:
        columns["kinds"] = [kind.value for kind in step.kinds]
    if step.reason:
        columns["reason"] = step.reason[:REASON_LENGTH]
    return columns


@atomic_act
def spare(drain_id: int, *, reason: str, until: datetime.datetime, at: datetime.datetime, actor: Actor) -> AddressDrain:
    """End a drain by hand: the address sends again, and is not drained until that time. Raises NotFound if it has ended."""
    faults = []
    reason = clean_text(reason, field="reason", longest=REASON_LENGTH)
    if not reason:
        faults.append(Fault("reason", "is required"))
    if not at < until <= at + LONGEST_SPARE:
        faults.append(Fault("until", "must be in the future, within a year"))
    if faults:
        raise Invalid(*faults)
    # The address before the drain, as the decision locks them.
    list(IPAddress.objects.select_for_update(of=("self",), no_key=True).filter(drains=drain_id).values_list("pk"))
    drain = AddressDrain.objects.select_for_update(of=("self",)).open().filter(pk=drain_id).first()
    if drain is None:
        raise NotFound("The drain could not be found, or it has ended")
    _end(drain, reason, at=at, actor=actor, spared_until=until)
    return drain


@atomic_act
def configure(pool_id: int, *, mode: Mode | None, share: int, actor: Actor) -> IPPool:
    """Say what may become of a pool's addresses in trouble. Mode None: what SLUICE_DRAIN says. Raises NotFound, and Invalid."""
    faults = Faults()
    faults.integer("share", share, lowest=1, highest=HIGHEST_SHARE)
    faults.refuse()
    pool = locked(IPPool.objects.all(), pool_id)
    before = snapshot(pool)
    pool.drain_mode, pool.drain_share = "" if mode is None else mode.value, share
    save_change(pool, before, act="ip_pool.draining_changed", actor=actor)
    return pool


def mode_of(drain_mode: str) -> Mode:
    """Return the mode of a pool by its column."""
    return Mode(drain_mode or settings.SLUICE_DRAIN)


def in_effect(address_ids: Collection[int]) -> list[AddressDrain]:
    """Return the drains that keep mail from these addresses, by address. One query."""
    return list(AddressDrain.objects.in_effect().filter(address_id__in=address_ids).order_by("address_id"))


def _end(
    drain: AddressDrain,
    reason: str,
    *,
    at: datetime.datetime,
    actor: Actor,
    spared_until: datetime.datetime | None = None,
) -> None:
    before = snapshot(drain)
    drain.ended_at, drain.ended_because, drain.spared_until = at, reason[:REASON_LENGTH], spared_until
    drain.save(update_fields=["ended_at", "ended_because", "spared_until"])
    record(actor=actor, act="drain.ended", target=drain, before=before, after=snapshot(drain))
