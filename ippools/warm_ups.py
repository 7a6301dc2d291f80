"""Warm-ups of addresses: begun, held, released, stopped; and each day's decision, which caps follow.

The decision itself is `throttling.warmup`, and what happened is read in `stats.warm_up`. Every act is recorded with its reason.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence

from core.atomic_acts import atomic_act
from core.audit import Actor, record, record_creations, snapshot
from core.errors import Conflict, Fault, Invalid, NotFound
from core.texts import clean_text
from ippools import caps
from ippools.models import AddressCap, IPAddress, WarmUp, WarmUpDay
from throttling import warmup
from throttling.limits import CapKind
from throttling.models import WarmUpPlan
from throttling.warmup import Day

REASON_LENGTH = 500
LONGEST_WAIT = datetime.timedelta(days=366)


class AlreadyWarmingUp(Conflict):
    """The address is on a plan already."""


@atomic_act
def begin(*, address_id: int, plan_id: int, on: datetime.date, at: datetime.datetime, actor: Actor) -> WarmUp:
    """Put an address on a plan from a date (UTC) on, today at the earliest. Its caps come with the next decision.

    Raises NotFound, Invalid, and AlreadyWarmingUp.
    """
    plan = _plan(plan_id, on, at)
    address = IPAddress.objects.select_for_update(of=("self",)).filter(pk=address_id).first()
    if address is None:
        raise NotFound("The IP address could not be found")
    if WarmUp.objects.active().filter(address=address).exists():
        raise AlreadyWarmingUp(f"{address.ipv4} is being warmed up already")
    warm_up = WarmUp.objects.create(address=address, plan=plan, begins_on=on)
    record(actor=actor, act="warm_up.began", target=warm_up, after=snapshot(warm_up))
    return warm_up


@atomic_act
def begin_many(
    *, address_ids: Collection[int], plan_id: int, on: datetime.date, at: datetime.datetime, actor: Actor
) -> int:
    """Put those of the addresses on a plan that are on none, and return how many. Raises as `begin`."""
    plan = _plan(plan_id, on, at)
    locked = list(IPAddress.objects.select_for_update(of=("self",)).filter(pk__in=address_ids).order_by("pk"))
    busy = set(WarmUp.objects.active().filter(address__in=address_ids).values_list("address_id", flat=True))
    rows = [WarmUp(address=each, plan=plan, begins_on=on) for each in locked if each.pk not in busy]
    made = WarmUp.objects.bulk_create(rows)
    record_creations(actor=actor, act="warm_up.began", targets=[(each, snapshot(each)) for each in made])
    return len(made)


@atomic_act
def hold(warm_up_id: int, *, reason: str, actor: Actor) -> WarmUp:
    """Keep a warm-up at its day until it is released. Raises NotFound where it has ended, and Invalid."""
    reason = clean_text(reason, field="reason", longest=REASON_LENGTH)
    if not reason:
        raise Invalid(Fault("reason", "is required"))
    return _changed(warm_up_id, "warm_up.held", actor, is_locked=True, lock_reason=reason)


@atomic_act
def release(warm_up_id: int, *, actor: Actor) -> WarmUp:
    """Let a held warm-up go on. Raises NotFound where it has ended."""
    return _changed(warm_up_id, "warm_up.released", actor, is_locked=False, lock_reason="")


@atomic_act
def stop(warm_up_id: int, *, at: datetime.datetime, actor: Actor) -> WarmUp:
    """End a warm-up and its caps: the address sends within its rules. Raises NotFound where it has ended."""
    warm_up = _changed(warm_up_id, "warm_up.stopped", actor, ended_at=at)
    _bring(warm_up, {}, "", at=at, actor=actor)
    return warm_up


@atomic_act
def finish(warm_up: WarmUp, *, at: datetime.datetime, actor: Actor) -> None:
    """End a warm-up whose plan is done: the address is warm."""
    _changed(warm_up.pk, "warm_up.finished", actor, ended_at=at, is_warm=True)
    _bring(warm_up, {}, "", at=at, actor=actor)


@atomic_act
def decide(
    warm_up: WarmUp,
    day: Day,
    *,
    on: datetime.date,
    domains: Mapping[str, Sequence[str]],
    at: datetime.datetime,
    actor: Actor,
) -> WarmUpDay:
    """Store the day of a date, or what is decided instead of it, and bring the address's caps to it.

    `domains` are the providers' (normalized patterns).
    """
    before = WarmUpDay.objects.filter(warm_up=warm_up, on=on).first()
    row, _ = WarmUpDay.objects.update_or_create(
        warm_up=warm_up,
        on=on,
        defaults={
            "number": day.number,
            "cap": day.cap,
            "provider_caps": dict(day.provider_caps),
            "change": day.change.value,
            "reason": day.reason[:REASON_LENGTH],
            "idle_days": day.idle_days,
            "bad_days": day.bad_days,
        },
    )
    record(
        actor=actor,
        act="warm_up.decided",
        target=warm_up,
        before={"day": None} if before is None else {"day": before.reason, "cap": before.cap},
        after={"day": day.reason, "cap": day.cap},
    )
    wanted: dict[tuple[str, ...], int] = {(): warmup.per_hour(day.cap)}
    for name, cap in day.provider_caps.items():
        if domains.get(name):
            wanted[tuple(sorted(domains[name]))] = warmup.per_hour(cap)
    _bring(warm_up, wanted, day.reason, at=at, actor=actor)
    return row


def day_of(row: WarmUpDay) -> Day:
    """Return a stored day as the engine wants it."""
    return Day(
        row.number, row.cap, row.provider_caps, warmup.Change(row.change), row.reason, row.idle_days, row.bad_days
    )


def _plan(plan_id: int, on: datetime.date, at: datetime.datetime) -> WarmUpPlan:
    today = at.astimezone(datetime.UTC).date()
    if not today <= on <= today + LONGEST_WAIT:
        raise Invalid(Fault("begins_on", "must be today (UTC) or later, within a year"))
    plan = WarmUpPlan.objects.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound("The warm-up plan could not be found")
    return plan


def _bring(
    warm_up: WarmUp, wanted: Mapping[tuple[str, ...], int], reason: str, *, at: datetime.datetime, actor: Actor
) -> None:
    """Let the address have just these caps of a warm-up: {domains: messages an hour}. They have no end: nodes that hear nothing
    of the panel keep them."""
    left = dict(wanted)
    for cap in AddressCap.objects.active(at).filter(address_id=warm_up.address_id, kind=CapKind.WARM_UP.value):
        key = tuple(sorted(cap.domains))
        if left.get(key) == cap.max_messages_per_hour:
            del left[key]
        elif key not in left:
            caps.end(cap.pk, at=at, actor=actor)
    for key, messages in left.items():
        caps.begin(
            address_id=warm_up.address_id,
            kind=CapKind.WARM_UP,
            domains=key,
            max_messages_per_hour=messages,
            reason=reason,
            at=at,
            actor=actor,
        )


def _changed(warm_up_id: int, act: str, actor: Actor, **columns: object) -> WarmUp:
    warm_up = WarmUp.objects.select_for_update(of=("self",)).active().filter(pk=warm_up_id).first()
    if warm_up is None:
        raise NotFound("The warm-up could not be found, or it has ended")
    before = snapshot(warm_up)
    for name, value in columns.items():
        setattr(warm_up, name, value)
    if snapshot(warm_up) != before:
        warm_up.save(update_fields=list(columns))
        record(actor=actor, act=act, target=warm_up, before=before, after=snapshot(warm_up))
    return warm_up
