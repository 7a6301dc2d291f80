"""Warms up addresses day by day. Pure: a plan, the day before and its outcome in; today's caps and the reason out.

A day advances only where the day before was used and receivers took its mail; else it is repeated, or the address goes back.
Rails: no cap grows by more than the plan's largest step, none falls below its floor, and a lock by hand holds the day.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from throttling.significance import least_significant

HOURS_A_DAY = 24
PERCENT = 100
# Complaints are told in ten-thousandths.
TEN_THOUSAND = 10_000
# A cap is met by the hour: fewer messages a day would be none in an hour.
LEAST_MESSAGES = HOURS_A_DAY
# Fewer attempts say nothing about what a provider thinks.
LEAST_ATTEMPTS = 20
# What chance does less often than this, complaints of a day show.
LIKELIHOOD = 0.01
# Percent of a day's cap that must have been sent for the next day to follow.
LEAST_USED = 20
# So many days without an attempt take the address back, and each so many further ones again.
IDLE_DAYS = 14
IDLE_AGAIN = 7
DAYS_BACK_WHEN_IDLE = 3
DAYS_BACK_WHEN_SEVERE = 2
# What stands for recipients at no named provider.
OTHERS = "others"


class Change(StrEnum):
    """What became of the day."""

    BEGAN = "began"
    ADVANCED = "advanced"
    REPEATED = "repeated"
    WENT_BACK = "went_back"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of an address's attempts; `blocked` are those of the refused that blame the sender's reputation."""

    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    complaint: int = 0
    blocked: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sent + other.sent,
            self.deferred + other.deferred,
            self.bounced + other.bounced,
            self.complaint + other.complaint,
            self.blocked + other.blocked,
        )

    @property
    def attempts(self) -> int:
        return self.sent + self.deferred + self.bounced


@dataclass(frozen=True, slots=True)
class Plan:
    """Messages a day by day number, in all and at some providers, and what must hold for the next day to follow.

    `least_accepted` and `most_blocked` are percent of the attempts, `most_complained` ten-thousandths of what was sent,
    `largest_step` percent by which a cap may grow in a day.
    """

    days: tuple[int, ...]
    providers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    least_accepted: int = 80
    most_blocked: int = 5
    most_complained: int = 10
    largest_step: int = 100
    floor: int = LEAST_MESSAGES


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a warm-up: its number in the plan (from 1), the caps, and why."""

    number: int
    cap: int
    provider_caps: Mapping[str, int]
    change: Change
    reason: str
    # Days up to this one without an attempt, and days in a row that went badly.
    idle_days: int = 0
    bad_days: int = 0


def first_day(plan: Plan) -> Day:
    """Return the first day."""
    caps = {name: max(plan.floor, numbers[0]) for name, numbers in plan.providers.items()}
    return Day(1, max(plan.floor, plan.days[0]), caps, Change.BEGAN, "day 1: the warm-up began")


def next_day(
    plan: Plan, before: Day, happened: Mapping[str, Counts], *, days: int = 1, is_locked: bool = False
) -> Day | None:
    """Return the day that follows `before`, `days` later; None: the plan is done and the address warm.

    `happened` has the counts of the days between, by provider (and `OTHERS`). However many days have passed, it is one step.
    """
    total = sum(happened.values(), Counts())
    idle = 0 if total.attempts else before.idle_days + days
    number = min(before.number, len(plan.days))
    if is_locked:
        return _day(plan, before, number, Change.REPEATED, "held by hand", idle, before.bad_days)
    if not total.attempts:
        return _idle(plan, before, number, idle, days)
    problem = _worst(plan, happened)
    if problem is not None:
        back = DAYS_BACK_WHEN_SEVERE if problem.is_severe else 1 if before.bad_days else 0
        return _back(plan, before, number, back, problem.sentence, 0, before.bad_days + 1)
    if total.sent * PERCENT < LEAST_USED * before.cap * days:
        reason = f"only {total.sent:,} of {before.cap * days:,} messages were sent yesterday"
        return _day(plan, before, number, Change.REPEATED, reason, 0, 0)
    if number == len(plan.days):
        return None
    accepted = f"{total.sent * PERCENT // total.attempts} % of {total.attempts:,} attempts were accepted yesterday"
    return _day(plan, before, number + 1, Change.ADVANCED, accepted, 0, 0)


def warm_on(plan: Plan, number: int, today: datetime.date) -> datetime.date:
    """Return when the address is warm if no day from now on is repeated."""
    return today + datetime.timedelta(days=max(0, len(plan.days) - number) + 1)


def per_hour(cap: int) -> int:
    """Return the hourly limit that a day's cap is met by: never more than the cap in a day."""
    return max(1, cap // HOURS_A_DAY)


def due(cap: int, hour: int) -> int:
    """Return how much of a day's cap may have been used by the end of this hour (0 to 23, UTC)."""
    return cap * (hour + 1) // HOURS_A_DAY


@dataclass(frozen=True, slots=True)
class _Problem:
    excess: float
    sentence: str
    is_severe: bool


def _worst(plan: Plan, happened: Mapping[str, Counts]) -> _Problem | None:
    """Return what went worst yesterday, at a provider or in all, in proportion to what the plan allows."""
    found = []
    together = {"All providers": sum(happened.values(), Counts())} if len(happened) > 1 else {}
    for name, counts in [*sorted(happened.items()), *together.items()]:
        if counts.attempts >= LEAST_ATTEMPTS:
            found += _problems(plan, "Others" if name == OTHERS else name, counts)
    return max(found, key=lambda each: each.excess, default=None)


def _problems(plan: Plan, name: str, counts: Counts) -> list[_Problem]:
    found = []
    refused, allowed = counts.deferred + counts.bounced, PERCENT - plan.least_accepted
    if counts.sent * PERCENT < plan.least_accepted * counts.attempts:
        word, number = (
            ("deferred", counts.deferred) if counts.deferred >= counts.bounced else ("refused", counts.bounced)
        )
        found.append(_exceeding(refused, counts.attempts, PERCENT, allowed, f"{name} {word} {_share(number, counts)}"))
    if counts.blocked * PERCENT > plan.most_blocked * counts.attempts:
        sentence = f"{name} blocked {_share(counts.blocked, counts)}"
        found.append(_exceeding(counts.blocked, counts.attempts, PERCENT, plan.most_blocked, sentence))
    # One complaint among a few hundred messages says nothing: lists that complain half as often as allowed have it, too.
    needed = least_significant(counts.sent, plan.most_complained, scale=TEN_THOUSAND, likelihood=LIKELIHOOD)
    if counts.complaint * TEN_THOUSAND > plan.most_complained * counts.sent and counts.complaint >= needed:
        share = counts.complaint * PERCENT / max(1, counts.sent)
        sentence = f"{share:.2g} % of the recipients at {name} complained yesterday"
        found.append(_exceeding(counts.complaint, max(1, counts.sent), TEN_THOUSAND, plan.most_complained, sentence))
    return found


def _exceeding(number: int, of: int, scale: int, allowed: int, sentence: str) -> _Problem:
    """Return a problem; it is severe from twice what is allowed on."""
    excess = number * scale / of / max(allowed, 1)
    return _Problem(excess, sentence, excess >= 2)


def _share(number: int, counts: Counts) -> str:
    return f"{number * PERCENT // counts.attempts} % yesterday"


def _idle(plan: Plan, before: Day, number: int, idle: int, days: int) -> Day:
    def steps(passed: int) -> int:
        return 0 if passed < IDLE_DAYS else 1 + (passed - IDLE_DAYS) // IDLE_AGAIN

    back = DAYS_BACK_WHEN_IDLE if steps(idle) > steps(idle - days) else 0
    reason = f"nothing was sent for {idle} days" if idle > 1 else "nothing was sent yesterday"
    return _back(plan, before, number, back, reason, idle, before.bad_days)


def _back(plan: Plan, before: Day, number: int, back: int, reason: str, idle: int, bad: int) -> Day:
    to = max(1, number - back)
    return _day(plan, before, to, Change.WENT_BACK if to < number else Change.REPEATED, reason, idle, bad)


def _day(plan: Plan, before: Day, number: int, change: Change, reason: str, idle: int, bad: int) -> Day:
    says = {
        Change.ADVANCED: f"day {number}",
        Change.REPEATED: f"day {number} repeated",
        Change.WENT_BACK: f"back from day {before.number} to day {number}",
    }
    caps = {
        name: _railed(plan, numbers[number - 1], before.provider_caps.get(name))
        for name, numbers in sorted(plan.providers.items())
    }
    cap = _railed(plan, plan.days[number - 1], before.cap)
    return Day(number, cap, caps, change, f"{says[change]}: {reason}", idle, bad)


def _railed(plan: Plan, wanted: int, before: int | None) -> int:
    if before is not None:
        wanted = min(wanted, before + before * plan.largest_step // PERCENT)
    return max(plan.floor, wanted)
