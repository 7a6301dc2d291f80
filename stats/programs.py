"""Runs throttle programs: from buckets of attempts to caps of addresses, with the reason of each decision.

The decision itself is `throttling.backoff.replay`, which is pure. Here it is made again for the last two hours each time, from
a stored point, and the caps of addresses (`ippools.caps`) are brought to what it says.
"""

import datetime
from dataclasses import asdict, dataclass, replace

from django.db import transaction

from core.audit import Actor
from core.locks import advisory
from ippools import caps
from ippools.models import AddressCap, IPAddress
from ippools.models.cap import JUDGED_WITHIN
from stats.ledger import throttle_buckets
from stats.models import ThrottleState
from throttling import backoff
from throttling.backoff import BUCKET, LATENESS, LONGEST_WINDOW, Bucket, Program, State, Transition
from throttling.limits import CapKind
from throttling.models import Rule, ThrottleProgram
from throttling.models.program import BackoffMode

SYSTEM = Actor.system()
# So much may the clocks of workers differ, and a tick have waited for the one before it.
AHEAD = datetime.timedelta(seconds=60)
STATE_FIELDS = ("at", "counted_from", "suspected_at", "began_at", "ends_at")


@dataclass(frozen=True, slots=True)
class Decided:
    """How many throttles a decision looked at, and what it changed."""

    looked_at: int = 0
    began: int = 0
    extended: int = 0
    ended: int = 0
    # Caps that follow another limit of their rule, or another value of their program.
    changed: int = 0


def decide(*, now: datetime.datetime) -> Decided:
    """Decide on every throttle with a program and recent attempts, or in back-off.

    Deciders follow one another; deciding again at once changes nothing, and what was decided for a later time stays.
    """
    with transaction.atomic():
        advisory("stats.programs")
        since = now - datetime.timedelta(seconds=LATENESS + LONGEST_WINDOW)
        buckets = throttle_buckets.read(None, since)
        states = {(row.address_id, row.rule_id): row for row in ThrottleState.objects.all()}
        rules = _rules_with_programs({rule_id for _, rule_id in buckets} | {rule_id for _, rule_id in states})
        active = {
            (cap.address_id, cap.rule_id): cap
            for cap in AddressCap.objects.filter(kind=CapKind.THROTTLE_PROGRAM.value, ended_at=None).order_by("pk")
        }
        throttles = sorted({*buckets, *states})
        addresses = IPAddress.objects.filter(pk__in={pk for pk, _ in throttles})
        rule_sets = {pk: sets for pk, *sets in addresses.values_list("pk", "rules_id", "template__rules_id")}
        changes: dict[str, int] = dict.fromkeys(("looked_at", "began", "extended", "ended", "changed"), 0)
        for throttle in throttles:
            address_id, rule_id = throttle
            rule, row, cap = rules.get(rule_id), states.get(throttle), active.get(throttle)
            if rule is None or rule.rule_set_id not in rule_sets.get(address_id, ()):
                # The rule or the address is gone, the address has another template, or the rule has no program any more.
                _forget(throttle, row, cap, now)
                continue
            changes["looked_at"] += 1
            state, transitions = _advance(throttle, row, buckets.get(throttle, []), rule, now)
            if (change := _bring(throttle, rule, state, transitions, cap, now)) is not None:
                changes[change] += 1
            if throttle not in buckets and not state.is_reduced:
                # It starts anew with its next attempt.
                _forget(throttle, row, None, now)
        return Decided(**changes)


def end(cap_id: int, *, at: datetime.datetime, actor: Actor, reason: str = "") -> None:
    """End a back-off by hand: the throttle returns to normal and is judged by what comes from now on. Raises NotFound."""
    with transaction.atomic():
        advisory("stats.programs")
        cap = AddressCap.objects.filter(pk=cap_id).first()
        caps.end(cap_id, at=at, actor=actor, reason=reason)
        if cap is not None and cap.kind == CapKind.THROTTLE_PROGRAM.value and cap.rule_id is not None:
            _store((cap.address_id, cap.rule_id), backoff.start(int(at.timestamp())))


def extend(cap_id: int, *, until: datetime.datetime, reason: str, at: datetime.datetime, actor: Actor) -> None:
    """Let a cap go on until another time, with a reason; a back-off is judged anew at that time. Raises NotFound, Invalid."""
    with transaction.atomic():
        advisory("stats.programs")
        cap = caps.extend(cap_id, until=until, reason=reason, at=at, actor=actor)
        if cap.kind == CapKind.THROTTLE_PROGRAM.value and cap.rule_id is not None:
            # What comes from now on decides whether it goes on after that.
            now = backoff.start(int(at.timestamp()))
            began, ends = int(cap.began_at.timestamp()), int(until.timestamp())
            _store((cap.address_id, cap.rule_id), replace(now, began_at=began, ends_at=ends))


def _advance(
    throttle: tuple[int, int], row: ThrottleState | None, buckets: list[Bucket], rule: Rule, now: datetime.datetime
) -> tuple[State, list[Transition]]:
    """Return the state now, and move the stored point to where nothing can arrive before any more."""
    assert rule.throttle_program is not None
    program = engine_program(rule.throttle_program)
    until = int(now.timestamp())
    if row is not None and row.at <= until + AHEAD.total_seconds():
        stored = State(**{name: getattr(row, name) for name in STATE_FIELDS})
    else:
        # A state of the future was written by a clock that was ahead: what comes from now on would not move it.
        stored = backoff.start(min((bucket.number * BUCKET for bucket in buckets), default=until))
    settled, before = backoff.replay(stored, buckets, program, until=max(stored.at, until - LATENESS))
    state, after = backoff.replay(settled, buckets, program, until=until)
    transitions = [*before, *after]
    if row is None or settled != stored:
        _store(throttle, settled)
    return state, transitions


def _bring(
    throttle: tuple[int, int],
    rule: Rule,
    state: State,
    transitions: list[Transition],
    cap: AddressCap | None,
    now: datetime.datetime,
) -> str | None:
    """Begin, extend or end the cap by the decision, or let it follow its rule; return what was done."""
    is_active = cap is not None and _is_active(cap, now)
    if cap is not None and is_active and _is_decided_later(cap, rule, now):
        return None
    if state.ends_at is None or moment(state.ends_at) <= now:
        if cap is not None and is_active:
            caps.end(cap.pk, at=now, actor=SYSTEM)
            return "ended"
        return None
    until = moment(state.ends_at)
    reason = reason_of(transitions[-1], rule.throttle_program) if transitions else ""
    bounds = bounds_during_backoff(rule)
    if cap is not None and is_active:
        is_other = any(getattr(cap, name) != value for name, value in bounds.items())
        has_changed = is_other and caps.rebound(cap.pk, at=now, actor=SYSTEM, **bounds)
        if cap.until == until:
            return "changed" if has_changed else None
        caps.extend(cap.pk, until=until, reason=reason, at=now, actor=SYSTEM)
        return "extended"
    if bounds["max_messages_per_hour"] is None and bounds["max_concurrent_connections"] is None:
        # A percentage of unlimited is unlimited: there is nothing to bound.
        return None
    if _was_ended_later(throttle, now):
        return None
    caps.begin(
        address_id=throttle[0],
        kind=CapKind.THROTTLE_PROGRAM,
        rule_id=throttle[1],
        reason=reason or f"{rule.throttle_program} is still in effect",
        at=now,
        until=until,
        actor=SYSTEM,
        **bounds,
    )
    return "began"


def _is_decided_later(cap: AddressCap, rule: Rule, now: datetime.datetime) -> bool:
    """Return whether a decider whose clock is ahead has begun or extended it: a tick that had to wait does not undo that."""
    if cap.until is None or rule.throttle_program is None:
        return False
    decided_at = cap.until - datetime.timedelta(seconds=rule.throttle_program.return_after_seconds)
    return now < decided_at <= now + AHEAD


def _was_ended_later(throttle: tuple[int, int], now: datetime.datetime) -> bool:
    ended = AddressCap.objects.filter(address_id=throttle[0], rule_id=throttle[1], ended_at__gt=now)
    return ended.filter(kind=CapKind.THROTTLE_PROGRAM.value).exists()


def bounds_during_backoff(rule: Rule) -> caps.Bounds:
    """Return what bounds a rule during back-off: the numbers of now, and the percentages that they come from."""
    program = rule.throttle_program
    assert program is not None
    messages, percent_of_messages = _bound(
        rule.max_messages_per_hour, program.backoff_messages_mode, program.backoff_messages_value
    )
    connections, percent_of_connections = _bound(
        rule.max_concurrent_connections, program.backoff_connections_mode, program.backoff_connections_value
    )
    return {
        "max_messages_per_hour": messages,
        "max_concurrent_connections": connections,
        "percent_of_messages": percent_of_messages,
        "percent_of_connections": percent_of_connections,
    }


def _bound(normal: int, mode: str, value: int) -> tuple[int | None, int | None]:
    """Return the number of a limit during back-off, and its percentage; None: not bounded, no percentage."""
    if mode == BackoffMode.PERCENT:
        return backoff.reduced(normal, percent=value) or None, value
    return backoff.reduced(normal, fixed=value) or None, None


def engine_program(program: ThrottleProgram) -> Program:
    """Return the program in the engine's form."""
    return Program(program.failure_rate, program.deferral_rate, program.return_after_seconds)


def reason_of(transition: Transition, program: ThrottleProgram | None) -> str:
    """Return the reason as a sentence, such as "45 of 60 attempts were deferred (75 %; Automatic Backoff begins at 50 %)"."""
    rates = transition.rates
    parts = []
    if program is not None and program.deferral_rate is not None and rates.deferral_rate >= program.deferral_rate:
        parts.append((rates.deferred, "deferred", rates.deferral_rate, program.deferral_rate))
    if program is not None and program.failure_rate is not None and rates.failure_rate >= program.failure_rate:
        parts.append((rates.failed, "failed", rates.failure_rate, program.failure_rate))
    told = " and ".join(
        f"{count:,} of {rates.attempts:,} attempts were {word} ({rate:.0f} %; {program} begins at {trigger} %)"
        if word == "deferred"
        else f"{count:,} of {rates.attempts:,} attempts {word} ({rate:.0f} %; {program} begins at {trigger} %)"
        for count, word, rate, trigger in parts
    )
    return f"{told}, up to {moment(transition.at):%H:%M:%S} UTC" if told else ""


def moment(seconds: int) -> datetime.datetime:
    """Return Unix seconds as a time."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _forget(
    throttle: tuple[int, int], row: ThrottleState | None, cap: AddressCap | None, now: datetime.datetime
) -> None:
    if row is not None:
        ThrottleState.objects.filter(address_id=throttle[0], rule_id=throttle[1]).delete()
    if cap is not None and _is_active(cap, now):
        caps.end(cap.pk, at=now, actor=SYSTEM)


def _is_active(cap: AddressCap, now: datetime.datetime) -> bool:
    """Return whether nodes still obey it: at its end this decision is what they wait for."""
    return cap.ended_at is None and (cap.until is None or cap.until > now - JUDGED_WITHIN)


def _rules_with_programs(rule_ids: set[int]) -> dict[int, Rule]:
    rows = Rule.objects.filter(throttle_program__isnull=False).select_related("throttle_program")
    return {rule.pk: rule for rule in rows.filter(pk__in=rule_ids)}


def _store(throttle: tuple[int, int], state: State) -> None:
    address_id, rule_id = throttle
    ThrottleState.objects.bulk_create(
        [ThrottleState(address_id=address_id, rule_id=rule_id, **asdict(state))],
        update_conflicts=True,
        unique_fields=["address_id", "rule_id"],
        update_fields=list(STATE_FIELDS),
    )
