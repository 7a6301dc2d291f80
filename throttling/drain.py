"""Decides which addresses are drained and restored. Pure: addresses with their troubles and pools in, steps out.

A drained address has no part in the draws of its pools, for all recipients or for some providers. Rails, whatever the troubles:

* of a pool's sending addresses at most its share is drained, by number and by weight;
* never the last that can send, of a pool or of a pool on one node; addresses that are warmed up do not count as such;
* where most addresses of a pool have the same kind of trouble, none is drained for it: that is no address's own trouble;
* what is drained stays so until it has been well for a time, which doubles with each relapse.

Deciding again at once changes nothing.
"""

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

PERCENT = 100
DEFAULT_SHARE = 30
# An address that has been well for so long is restored.
WELL_FOR = datetime.timedelta(hours=6)
LONGEST_HOLD = datetime.timedelta(days=7)
# Drains within this time before count as relapses.
REMEMBERED = datetime.timedelta(days=14)
# Back-off at so many providers at once is the address's trouble, not a provider's.
SEVERAL = 2
# An address accepts far less than its pool where so many points are missing, of so many attempts of each.
FAR_BELOW = 30
LEAST_ATTEMPTS = 200
# So many attempts of an hour say whether that is still so.
LEAST_IN_AN_HOUR = 20


class Mode(StrEnum):
    """What an operator allows: nothing, to tell, or to drain. The least of an address's pools decides."""

    OFF = "off"
    WATCH = "watch"
    ACT = "act"


# From the least to the most.
MODES = (Mode.OFF, Mode.WATCH, Mode.ACT)


class TroubleKind(StrEnum):
    """What is wrong with an address; the worst first."""

    LISTED = "listed"
    IDENTITY = "identity"
    BACK_OFF = "back_off"
    ACCEPTANCE = "acceptance"


_RANK = {kind: rank for rank, kind in enumerate(TroubleKind)}
_IN_WORDS = {
    TroubleKind.LISTED: "listed",
    TroubleKind.IDENTITY: "without a right DNS identity",
    TroubleKind.BACK_OFF: "in back-off",
    TroubleKind.ACCEPTANCE: "accepted far less than the others",
}


class Effect(StrEnum):
    """What comes of a trouble: it is told of, the rails keep the address sending, or it is drained."""

    TOLD = "told"
    WITHHELD = "withheld"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, as a sentence with its numbers. `scope` names the providers concerned; empty: all mail."""

    kind: TroubleKind
    sentence: str
    scope: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """What was decided last on an address: the effect, for which providers (empty: all), and since when without trouble."""

    effect: Effect
    scope: frozenset[str] = frozenset()
    well_since: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its troubles. `weight` is its priority; `sends`: it is neither paused nor redirected.

    `is_warming`: it does not stand in for others. `spared_until`: an operator took it out of a drain. `relapses` are its
    earlier drains that are remembered.
    """

    id: int
    name: str
    mode: Mode
    weight: int = 100
    sends: bool = True
    is_warming: bool = False
    troubles: tuple[Trouble, ...] = ()
    state: State | None = None
    spared_until: datetime.datetime | None = None
    relapses: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses that stand in for each other. `share` is the percent of them that may be drained; None: all but the last."""

    name: str
    members: tuple[int, ...]
    share: int | None = DEFAULT_SHARE


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of an address, and why. `effect` None: it is restored, or no longer told of. No reason: only
    `well_since` has changed. `kinds` are those of the troubles."""

    address_id: int
    effect: Effect | None
    scope: frozenset[str] = frozenset()
    reason: str = ""
    well_since: datetime.datetime | None = None
    kinds: tuple[TroubleKind, ...] = ()


def hold(relapses: int) -> datetime.timedelta:
    """Return how long an address must have been well to be restored."""
    doubled: datetime.timedelta = WELL_FOR * 2 ** min(relapses, 10)
    return min(doubled, LONGEST_HOLD)


def decide(addresses: Mapping[int, Address], groups: Sequence[Group], now: datetime.datetime) -> list[Step]:
    """Return the steps, by address id. An address in no group is never drained."""
    rails = _Rails(addresses, groups)
    steps: dict[int, Step] = {}
    admitted: set[int] = set()
    # What is drained goes before what could be: nothing is restored to make room.
    for address in sorted(addresses.values(), key=_order):
        step = _own(address, now, is_grouped=address.id in rails.groups_of)
        if step is not None and step.effect == Effect.DRAINED:
            refusal = rails.refusal(address, admitted)
            if not refusal:
                admitted.add(address.id)
            elif address.troubles:
                step = replace(step, effect=Effect.WITHHELD, reason=f"{_told(address)}. Not drained: {refusal}")
            else:
                step = Step(address.id, None, reason=f"Restored before its time: {refusal}")
        if step is not None:
            steps[address.id] = step
    finished = ((pk, _reasoned(addresses[pk], step, rails, admitted)) for pk, step in sorted(steps.items()))
    return [step for pk, step in finished if _differs(step, addresses[pk].state)]


def acceptance(name: str, own: tuple[int, int], others: tuple[int, int], *, hours: int) -> Trouble | None:
    """Return the trouble of an address of whose attempts a provider accepts far fewer than of its pool's others.

    `own` and `others` are (accepted, attempts) of the last `hours`.
    """
    if min(own[1], others[1]) < LEAST_ATTEMPTS:
        return None
    share, usual = own[0] * PERCENT / own[1], others[0] * PERCENT / others[1]
    if not is_far_below(own, others):
        return None
    sentence = (
        f"{name} accepted {share:.0f} % of {own[1]:,} attempts in {hours} hours, and {usual:.0f} % of {others[1]:,} attempts "
        "of the pool’s other addresses"
    )
    return Trouble(TroubleKind.ACCEPTANCE, sentence, frozenset({name}))


def is_far_below(own: tuple[int, int], others: tuple[int, int]) -> bool:
    """Return whether far less of the attempts was accepted than of the others'; both have attempts."""
    return own[0] * PERCENT / own[1] <= others[0] * PERCENT / others[1] - FAR_BELOW


def back_off(names: Collection[str]) -> Trouble | None:
    """Return the trouble of an address that backs off at several providers (or domains)."""
    if len(set(names)) < SEVERAL:
        return None
    sentence = f"it backs off at {len(set(names))} providers: {', '.join(sorted(set(names)))}"
    return Trouble(TroubleKind.BACK_OFF, sentence, frozenset(names))


def least_mode(modes: Iterable[Mode]) -> Mode:
    """Return the mode of an address in pools of these modes; `off` in none."""
    return min(modes, key=MODES.index, default=Mode.OFF)


# --- One address by itself -------------------------------------------------------------------------------------------


def _order(address: Address) -> tuple[bool, bool, int, int, int]:
    """What is drained comes first, what is in trouble before what is well, the worst trouble before others."""
    is_drained = address.state is not None and address.state.effect == Effect.DRAINED
    worst = min((_RANK[each.kind] for each in address.troubles), default=len(_RANK))
    return not is_drained, not address.troubles, worst, -len(address.troubles), address.id


def _own(address: Address, now: datetime.datetime, *, is_grouped: bool) -> Step | None:
    """Return what the address's own state asks for, before the rails; None: nothing, and nothing was."""
    before = address.state
    if address.mode == Mode.OFF or not is_grouped:
        why = "Draining is off" if is_grouped else "It is in no pool any more"
        return None if before is None else Step(address.id, None, reason=why)
    if before is None and not address.sends:
        return None
    if address.troubles:
        if before is None and address.spared_until is not None and now < address.spared_until:
            return None
        effect = Effect.DRAINED if address.mode == Mode.ACT else Effect.TOLD
        return Step(address.id, effect, _scope(address), kinds=_kinds(address))
    if before is None:
        return None
    since = before.well_since or now
    if now - since >= hold(address.relapses):
        return Step(address.id, None, reason=f"No trouble since {_clock(since)}, for {_hours(now - since)}")
    # What was told of, or held back, is not drained for a trouble that is over.
    effect = Effect.TOLD if address.mode == Mode.WATCH else before.effect
    return Step(address.id, effect, before.scope, well_since=since)


def _scope(address: Address) -> frozenset[str]:
    """Return the providers concerned; while it lasts, the scope only grows."""
    scopes = [trouble.scope for trouble in address.troubles]
    if address.state is not None:
        scopes.append(address.state.scope)
    return frozenset() if any(not scope for scope in scopes) else frozenset().union(*scopes)


def _told(address: Address) -> str:
    told = "; ".join(each.sentence for each in address.troubles)
    return told[:1].upper() + told[1:]


def _differs(step: Step, before: State | None) -> bool:
    if before is None:
        return step.effect is not None
    return (step.effect, step.scope, step.well_since) != (before.effect, before.scope, before.well_since)


def _reasoned(address: Address, step: Step, rails: "_Rails", admitted: set[int]) -> Step:
    """Return the step with its reason, where it changes more than since when the address is well."""
    before = address.state
    if step.reason or step.effect is None or (before and (before.effect, before.scope) == (step.effect, step.scope)):
        return step
    if step.effect == Effect.TOLD:
        told = f"{_told(address)}. " if address.troubles else ""
        return replace(step, reason=f"{told}Not drained: the pool only watches")
    return replace(step, reason=f"{_told(address)}. {rails.counted(address, admitted)}")


def _kinds(address: Address) -> tuple[TroubleKind, ...]:
    return tuple(sorted({each.kind for each in address.troubles}, key=_RANK.__getitem__))


def _clock(at: datetime.datetime) -> str:
    return f"{at.astimezone(datetime.UTC):%-d %B %H:%M} UTC"


def _hours(passed: datetime.timedelta) -> str:
    hours = int(passed.total_seconds() // 3600)
    return "1 hour" if hours == 1 else f"{hours} hours"


# --- The rails -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rails:
    """What may be drained together."""

    addresses: Mapping[int, Address]
    groups: Sequence[Group]
    groups_of: dict[int, list[Group]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group in self.groups:
            for pk in group.members:
                self.groups_of.setdefault(pk, []).append(group)

    def refusal(self, address: Address, admitted: set[int]) -> str:
        """Return why an address cannot be drained beside the admitted ones; empty: it can."""
        for group in self.groups_of.get(address.id, []):
            for refusal in (
                self._last(group, {*admitted, address.id}),
                self._beyond_share(group, {*admitted, address.id}),
                self._common_cause(group, address),
            ):
                if refusal:
                    return refusal
        return ""

    def counted(self, address: Address, admitted: set[int]) -> str:
        """Return how many addresses of its pools are drained now."""
        parts = []
        for group in self.groups_of[address.id]:
            if group.share is not None:
                senders = self._senders(group)
                drained = len(admitted & {each.id for each in senders})
                most = len(senders) * group.share // PERCENT
                parts.append(
                    f"{drained} of {len(senders)} sending addresses of {group.name} "
                    f"{'is' if drained == 1 else 'are'} drained, at most {most} may be ({group.share} %)"
                )
        return "; ".join(parts)

    def _senders(self, group: Group) -> list[Address]:
        """Return the members that mail would leave by without drains: those of weight 0 only where there are no others."""
        sending = [self.addresses[pk] for pk in group.members if self.addresses[pk].sends]
        return [each for each in sending if each.weight] or sending

    def _last(self, group: Group, drained: set[int]) -> str:
        left = [each for each in self._senders(group) if each.id not in drained and not each.is_warming]
        return "" if left else f"no other address of {group.name} could send its mail"

    def _beyond_share(self, group: Group, drained: set[int]) -> str:
        if group.share is None:
            return ""
        # Those that are warmed up take little of the others' mail.
        counting = [each for each in self._senders(group) if not each.is_warming]
        # Those that are paused as well count: they may be resumed at any time.
        gone = [self.addresses[pk] for pk in group.members if pk in drained]
        most = len(counting) * group.share // PERCENT
        if len(gone) > most:
            return f"at most {most} of {len(counting)} addresses of {group.name} may be drained ({group.share} %)"
        weight = sum(each.weight for each in counting)
        if sum(each.weight for each in gone) * PERCENT > weight * group.share:
            return f"the drained addresses of {group.name} would have more than {group.share} % of its weight"
        return ""

    def _common_cause(self, group: Group, address: Address) -> str:
        """Most of a pool have the same trouble. What is drained already stays so."""
        if group.share is None or (address.state is not None and address.state.effect == Effect.DRAINED):
            return ""
        senders = self._senders(group)
        common = []
        for kind in _kinds(address):
            number = sum(any(each.kind == kind for each in other.troubles) for other in senders)
            if number * 2 <= len(senders):
                return ""
            common.append(f"{number} of {len(senders)} addresses of {group.name} are {_IN_WORDS[kind]}")
        return f"{'; '.join(common)}: a common cause, which draining does not remove" if common else ""
