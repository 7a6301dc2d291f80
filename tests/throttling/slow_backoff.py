"""The engine as it is described: each decision goes over the buckets again. Tests compare the product with it."""

from collections.abc import Iterable
from dataclasses import replace

from throttling.backoff import (
    BUCKET,
    CONFIRMING_ATTEMPTS,
    CONFIRMING_SECONDS,
    LONGEST_WINDOW,
    MINIMUM_ATTEMPTS,
    SETTLING,
    SHORTEST_WINDOW,
    Bucket,
    Change,
    Program,
    Rates,
    State,
    Transition,
)


def replay(state: State, buckets: Iterable[Bucket], program: Program, *, until: int) -> tuple[State, list[Transition]]:
    """Return the state at the last boundary up to `until`, and every transition on the way.

    `buckets` may hold more than is needed and come in any order; of those before `state.counted_from` none counts. Only
    boundaries at which something can change are looked at: the ends of buckets that hold attempts, and the end of a period.
    """
    counted = sorted(bucket for bucket in buckets if bucket.number * BUCKET >= state.counted_from)
    until = _floor(until)
    transitions: list[Transition] = []
    ends = [end for bucket in counted if state.at < (end := (bucket.number + 1) * BUCKET) <= until]
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
        state, transition = _decide(replace(state, at=boundary), counted, program)
        if transition is not None:
            transitions.append(transition)
    return replace(state, at=max(state.at, until)), transitions


def window(buckets: list[Bucket], *, at: int, counted_from: int) -> Rates:
    """Return the sums of the newest buckets before `at`: at least 60 seconds and 20 attempts, at most one hour."""
    attempts = deferred = failed = 0
    for bucket in reversed(buckets):
        begins = bucket.number * BUCKET
        if begins >= at:
            continue
        if begins < counted_from or begins < at - LONGEST_WINDOW:
            break
        if attempts >= MINIMUM_ATTEMPTS and begins < at - SHORTEST_WINDOW:
            break
        attempts += bucket.sent + bucket.deferred + bucket.failed
        deferred += bucket.deferred
        failed += bucket.failed
    return Rates(attempts, deferred, failed)


def _decide(state: State, buckets: list[Bucket], program: Program) -> tuple[State, Transition | None]:
    rates = window(buckets, at=state.at, counted_from=state.counted_from)
    if state.ends_at is not None:
        if state.at < state.ends_at:
            return state, None
        if rates.attempts >= CONFIRMING_ATTEMPTS and rates.reach(program):
            return _reduce(state, rates, program, Change.EXTENDED)
        return State(at=state.at, counted_from=state.at), Transition(Change.ENDED, state.at, rates, None)
    if rates.attempts < MINIMUM_ATTEMPTS or not rates.is_significant(program):
        return replace(state, suspected_at=None), None
    if state.suspected_at is None:
        return replace(state, suspected_at=state.at), None
    since = _since(buckets, state.suspected_at, state.at)
    if since.attempts < CONFIRMING_ATTEMPTS or state.at < state.suspected_at + CONFIRMING_SECONDS:
        return state, None
    if not since.reach(program):
        # What came after the first sight says otherwise. The window may still hold the same attempts: the next ones decide.
        return replace(state, suspected_at=state.at), None
    return _reduce(state, rates, program, Change.BEGAN)


def _reduce(state: State, rates: Rates, program: Program, change: Change) -> tuple[State, Transition]:
    began_at = state.at if state.began_at is None else state.began_at
    ends_at = state.at + program.return_after
    counted_from = state.at + (SETTLING if change is Change.BEGAN else 0)
    after = State(at=state.at, counted_from=counted_from, began_at=began_at, ends_at=ends_at)
    return after, Transition(change, state.at, rates, ends_at)


def _since(buckets: list[Bucket], first: int, at: int) -> Rates:
    """Return the sums of the buckets from `first` up to `at`."""
    attempts = deferred = failed = 0
    for bucket in reversed(buckets):
        if bucket.number * BUCKET < first:
            break
        if bucket.number * BUCKET < at:
            attempts += bucket.sent + bucket.deferred + bucket.failed
            deferred += bucket.deferred
            failed += bucket.failed
    return Rates(attempts, deferred, failed)


def _floor(at: int) -> int:
    return at - at % BUCKET


def _ceiling(at: int) -> int:
    return -(-at // BUCKET) * BUCKET
