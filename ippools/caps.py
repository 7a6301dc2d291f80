"""Caps of addresses: begin, extend, end, and read as the limit function takes them.

Every act is recorded with its reason, whoever or whatever acts, and one act undoes it.
"""

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypedDict, Unpack

from django.db.models import Q

from core import ends
from core.acts import assign, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid, NotFound
from ippools.models import AddressCap, IPAddress
from ippools.models.cap import JUDGED_WITHIN, REASON_LENGTH
from throttling.limits import NO_RULE, Cap, CapKind


class Bounds(TypedDict, total=False):
    """What a cap bounds; None: it does not. Percentages stand instead of the numbers, which are then what they are now."""

    max_messages_per_hour: int | None
    max_concurrent_connections: int | None
    percent_of_messages: int | None
    percent_of_connections: int | None


@atomic_act
def begin(
    *,
    address_id: int,
    kind: CapKind,
    reason: str,
    at: datetime.datetime,
    actor: Actor,
    until: datetime.datetime | None = None,
    rule_id: int | None = None,
    domains: Collection[str] = (),
    **bounds: Unpack[Bounds],
) -> AddressCap:
    """Begin a cap of an address. This ends a cap of the same kind for the same rule.

    `rule_id` 0 is the default, None every rule; `domains` are normalized patterns. Raises NotFound without such an address, and
    Invalid where nothing is bounded, a number is below 1, the reason is missing, or the end is not in the future.
    """
    faults = []
    if not 1 <= len(reason.strip()) <= REASON_LENGTH:
        faults.append(Fault("reason", f"must be from 1 to {REASON_LENGTH} characters in length"))
    faults += ends.faults_of("until", until, at=at)
    if all(number is None for number in bounds.values()):
        faults.append(Fault("max_messages_per_hour", "is required where max_concurrent_connections is not given"))
    faults += [
        Fault(name, "must be at least 1") for name, number in bounds.items() if isinstance(number, int) and number < 1
    ]
    if faults:
        raise Invalid(*faults)
    # The address is locked, so that two that begin at once follow one another.
    if not IPAddress.objects.select_for_update(of=("self",)).filter(pk=address_id).exists():
        raise NotFound("The IP address could not be found")
    scope = Q(is_default=rule_id == NO_RULE, rule_id=rule_id or None)
    for earlier in AddressCap.objects.filter(scope, address_id=address_id, kind=kind, ended_at=None):
        if rule_id is not None or sorted(earlier.domains) == sorted(domains):
            _end(earlier, at=at, actor=actor)
    cap = AddressCap.objects.create(
        address_id=address_id,
        kind=kind.value,
        rule_id=rule_id or None,
        is_default=rule_id == NO_RULE,
        domains=sorted(domains),
        reason=reason.strip(),
        began_at=at,
        until=until,
        **bounds,
    )
    record(actor=actor, act="cap.began", target=cap, after=snapshot(cap))
    return cap


@atomic_act
def extend(
    cap_id: int, *, until: datetime.datetime | None, reason: str, at: datetime.datetime, actor: Actor
) -> AddressCap:
    """Change the end of a cap (None: until it is ended). Raises NotFound if it has ended, and Invalid."""
    cap = _locked(cap_id, at)
    if faults := ends.faults_of("until", until, at=at):
        raise Invalid(*faults)
    before = snapshot(cap)
    cap.until, cap.reason = until, reason.strip()[:REASON_LENGTH] or cap.reason
    if snapshot(cap) != before:
        cap.save(update_fields=["until", "reason"])
        record(actor=actor, act="cap.extended", target=cap, before=before, after=snapshot(cap))
    return cap


@atomic_act
def rebound(cap_id: int, *, at: datetime.datetime, actor: Actor, **bounds: Unpack[Bounds]) -> bool:
    """Give a cap other bounds, and return whether it had others. Raises NotFound if it has ended."""
    cap = _locked(cap_id, at)
    before = snapshot(cap)
    assign(cap, bounds)
    return save_change(cap, before, act="cap.changed", actor=actor)


@atomic_act
def end(cap_id: int, *, at: datetime.datetime, actor: Actor, reason: str = "") -> None:
    """End a cap early; the reason is in the audit trail. Raises NotFound if it has ended."""
    _end(_locked(cap_id, at), at=at, actor=actor, reason=reason)


def of_addresses(address_ids: Collection[int], *, at: datetime.datetime) -> Mapping[int, list[Cap]]:
    """Return the active caps of these addresses, by address, oldest first; one query."""
    found: dict[int, list[Cap]] = defaultdict(list)
    rows = AddressCap.objects.active(at).filter(address_id__in=address_ids).order_by("began_at", "pk")
    for row in rows:
        found[row.address_id].append(value_of(row))
    return found


def obeyed_by_nodes(address_ids: Collection[int], *, at: datetime.datetime) -> Mapping[int, list[Cap]]:
    """Return the same as nodes get them: a program's cap goes on until its end is decided on."""
    found: dict[int, list[Cap]] = defaultdict(list)
    rows = AddressCap.objects.obeyed(at).filter(address_id__in=address_ids).order_by("began_at", "pk")
    for row in rows:
        cap = value_of(row)
        if cap.kind == CapKind.THROTTLE_PROGRAM and cap.until is not None:
            cap = replace(cap, until=cap.until + JUDGED_WITHIN)
        found[row.address_id].append(cap)
    return found


def value_of(row: AddressCap) -> Cap:
    """Return the row in the form of the limit function."""
    return Cap(
        kind=CapKind(row.kind),
        max_messages_per_hour=row.max_messages_per_hour,
        max_concurrent_connections=row.max_concurrent_connections,
        until=row.until,
        rule_id=NO_RULE if row.is_default else row.rule_id,
        domains=frozenset(row.domains) or None,
        percent_of_messages=row.percent_of_messages,
        percent_of_connections=row.percent_of_connections,
    )


def _locked(cap_id: int, at: datetime.datetime) -> AddressCap:
    cap = AddressCap.objects.select_for_update(of=("self",)).obeyed(at).filter(pk=cap_id).first()
    if cap is None:
        raise NotFound("The cap could not be found, or it has ended")
    return cap


def _end(cap: AddressCap, *, at: datetime.datetime, actor: Actor, reason: str = "") -> None:
    before = snapshot(cap)
    is_over = cap.until is not None and cap.until <= at
    # One whose time is over ended then.
    cap.ended_at = cap.until if is_over else at
    cap.save(update_fields=["ended_at"])
    if not is_over:
        told = {"ended_because": reason.strip()[:REASON_LENGTH]} if reason.strip() else {}
        record(actor=actor, act="cap.ended", target=cap, before=before, after=snapshot(cap) | told)
