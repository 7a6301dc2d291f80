"""The engine of throttle programs: reduces and restores rates. Pure: counts in event time in, decisions out.

A throttle is one address and one rule. Its attempts at receivers are counted in buckets of ten seconds of event time. Decisions
fall on the boundaries of buckets and depend on the buckets alone, not on when those arrived or when the decision was asked
for: `replay` goes over a span again and finds the same transitions.

What was measured, and why a decision waits to be confirmed: docs/closed-loop.md.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from throttling.significance import least_significant

# Seconds.
BUCKET = 10
# The window: the newest buckets until both are reached, and never more than an hour.
SHORTEST_WINDOW = 60
LONGEST_WINDOW = 3_600
MINIMUM_ATTEMPTS = 20
# What must follow the first sight, and say the same, before the rate is reduced; as many attempts keep it reduced at its end.
CONFIRMING_ATTEMPTS = 3
CONFIRMING_SECONDS = 30
# How likely so many refusals may be, at the most, where receivers refuse half as often as the trigger says.
LIKELIHOOD = 0.005
# Attempts so soon after the beginning were made at the old rate: MTAs obey within some seconds. They do not count at the end.
SETTLING = 60
# How far back events may arrive and still be decided on as if they had come in time.
LATENESS = 7_200
PERCENT = 100
UNLIMITED = 0


class Bucket(NamedTuple):
    """The replies to one throttle's attempts within ten seconds; `number` is the Unix time divided by BUCKET."""

    number: int
    sent: int = 0
    deferred: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """The triggers, in percent of the attempts (None: does not trigger), and how long the rate stays reduced, in seconds."""

    failure_rate: int | None
    deferral_rate: int | None
    return_after: int


class Rates(NamedTuple):
    """The sums of a window of buckets."""

    attempts: int
    deferred: int
    failed: int

    @property
    def deferral_rate(self) -> float:
        """Percent of the attempts; 0 without any."""
        return PERCENT * self.deferred / self.attempts if self.attempts else 0.0

    @property
    def failure_rate(self) -> float:
        """Percent of the attempts; 0 without any."""
        return PERCENT * self.failed / self.attempts if self.attempts else 0.0

    def reach(self, program: Program) -> bool:
        """Return whether a trigger is reached; compared in whole numbers, so that 50 of 100 is 50 percent."""
        return self.attempts > 0 and (
            (program.deferral_rate is not None and PERCENT * self.deferred >= program.deferral_rate * self.attempts)
            or (program.failure_rate is not None and PERCENT * self.failed >= program.failure_rate * self.attempts)
        )

    def is_significant(self, program: Program) -> bool:
        """Return whether a trigger is reached with statistical significance.

        Of 20 attempts with a trigger of 50 percent, 10 refusals are as many as a steady 25 percent brings now and then.
        """
        return (
            program.deferral_rate is not None and self.deferred >= refusals_needed(self.attempts, program.deferral_rate)
        ) or (program.failure_rate is not None and self.failed >= refusals_needed(self.attempts, program.failure_rate))


@dataclass(frozen=True, slots=True)
class State:
    """The state of a throttle at the boundary `at` (Unix seconds, a multiple of BUCKET).

    `counted_from` is the time from which attempts count: what came before a transition says nothing about the time after it.
    `suspected_at` is the boundary at which the trigger was first reached, while it waits for confirmation. `began_at` and
    `ends_at` are set while the rate is reduced.
    """

    at: int
    counted_from: int
    suspected_at: int | None = None
    began_at: int | None = None
    ends_at: int | None = None

    @property
    def is_reduced(self) -> bool:
        return self.began_at is not None


class Change(StrEnum):
    """A kind of transition."""

    BEGAN = "began"
    EXTENDED = "extended"
    ENDED = "ended"


class Transition(NamedTuple):
    """A change at a time (Unix seconds), with the counts that decided it."""

    change: Change
    at: int
    rates: Rates
    ends_at: int | None


def start(at: int) -> State:
    """Return the initial state of a throttle without data before `at`."""
    return State(at=_floor(at), counted_from=_floor(at))


def replay(state: State, buckets: Iterable[Bucket], program: Program, *, until: int) -> tuple[State, list[Transition]]:
    """Return the state at the last boundary up to `until`, and every transition on the way.

    `buckets` may hold more than is needed and come in any order; of those before `state.counted_from` none counts. Only
    boundaries at which something can change are looked at: the ends of buckets that hold attempts, and the end of a period.
    Linear in the number of buckets, but for sorting and looking up.
    """
    counted = _Sums(sorted(bucket for bucket in buckets if bucket.number * BUCKET >= state.counted_from))
    until = _floor(until)
    transitions: list[Transition] = []
    ends = [end for begins in counted.begins if state.at < (end := begins + BUCKET) <= until]
    position = 0
    while True:
        boundary = ends[position] if position < len(ends) else None
        if state.ends_at is not None and (boundary is None or state.ends_at <= boundary):
            if state.ends_at > until:
                break
            # The end of a period can fall between two buckets, or on the end of one, which it then covers.
            boundary = _ceiling(state.ends_at)
            if boundary > until:
                break
        if boundary is None:
            break
        while position < len(ends) and ends[position] <= boundary:
            position += 1
        state, transition = _decide(state, boundary, counted, program)
        if transition is not None:
            transitions.append(transition)
    return replace(state, at=max(state.at, until)), transitions


def refusals_needed(attempts: int, trigger: int) -> int:
    """Return the number of refusals required: the trigger's share, and significantly more than at half of that share."""
    return least_significant(attempts, trigger, scale=PERCENT, likelihood=LIKELIHOOD)


def reduced(normal: int, *, percent: int | None = None, fixed: int | None = None) -> int:
    """Return a limit during back-off from the normal one; 0 is unlimited.

    A percentage is rounded down, and is at least 1; of unlimited it stays unlimited. A fixed limit never raises the normal one.
    """
    if percent is not None:
        return UNLIMITED if normal == UNLIMITED else min(normal, max(1, normal * percent // PERCENT))
    if fixed is None:
        return normal
    return fixed if normal == UNLIMITED else min(normal, fixed)


class _Sums:
    """Buckets in order, with what came before each of them: the sums of any span by two look-ups."""

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self.begins = [bucket.number * BUCKET for bucket in buckets]
        self._attempts = [0, *accumulate(bucket.sent + bucket.deferred + bucket.failed for bucket in buckets)]
        self._deferred = [0, *accumulate(bucket.deferred for bucket in buckets)]
        self._failed = [0, *accumulate(bucket.failed for bucket in buckets)]

    def between(self, first: int, at: int) -> Rates:
        """Return the sums of the buckets from `first` up to `at`."""
        return self._sum(bisect_left(self.begins, first), bisect_left(self.begins, at))

    def window(self, at: int, counted_from: int) -> Rates:
        """Return the sums of the newest buckets before `at`: at least 60 seconds and 20 attempts, at most one hour."""
        last = bisect_left(self.begins, at)
        oldest = bisect_left(self.begins, max(counted_from, at - LONGEST_WINDOW))
        minute = bisect_left(self.begins, at - SHORTEST_WINDOW)
        # The newest bucket from which on there are 20 attempts; -1: there are fewer.
        enough = bisect_right(self._attempts, self._attempts[last] - MINIMUM_ATTEMPTS, hi=last + 1) - 1
        return self._sum(max(oldest, min(minute, enough)), last)

    def _sum(self, first: int, last: int) -> Rates:
        if first >= last:
            return Rates(0, 0, 0)
        return Rates(*(sums[last] - sums[first] for sums in (self._attempts, self._deferred, self._failed)))


def _decide(state: State, at: int, counted: _Sums, program: Program) -> tuple[State, Transition | None]:
    if state.ends_at is not None and at < state.ends_at:
        return state, None
    rates = counted.window(at, state.counted_from)
    if state.ends_at is not None:
        if rates.attempts >= CONFIRMING_ATTEMPTS and rates.reach(program):
            return _reduce(state, at, rates, program, Change.EXTENDED)
        return State(at=at, counted_from=at), Transition(Change.ENDED, at, rates, None)
    if rates.attempts < MINIMUM_ATTEMPTS or not rates.is_significant(program):
        return (state if state.suspected_at is None else replace(state, suspected_at=None)), None
    if state.suspected_at is None:
        return replace(state, suspected_at=at), None
    since = counted.between(state.suspected_at, at)
    if since.attempts < CONFIRMING_ATTEMPTS or at < state.suspected_at + CONFIRMING_SECONDS:
        return state, None
    if not since.reach(program):
        # What came after the first sight says otherwise. The window may still hold the same attempts: the next ones decide.
        return replace(state, suspected_at=at), None
    return _reduce(state, at, rates, program, Change.BEGAN)


def _reduce(state: State, at: int, rates: Rates, program: Program, change: Change) -> tuple[State, Transition]:
    began_at = at if state.began_at is None else state.began_at
    ends_at = at + program.return_after
    counted_from = at + (SETTLING if change is Change.BEGAN else 0)
    after = State(at=at, counted_from=counted_from, began_at=began_at, ends_at=ends_at)
    return after, Transition(change, at, rates, ends_at)


def _floor(at: int) -> int:
    return at - at % BUCKET


def _ceiling(at: int) -> int:
    return -(-at // BUCKET) * BUCKET
