"""Back-off decided from buckets: when it begins and ends, that time of arrival does not matter, and how often it errs."""

import random
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.throttling import slow_backoff
from tests.throttling.slow_backoff import window
from throttling import backoff
from throttling.backoff import (
    BUCKET,
    LONGEST_WINDOW,
    Bucket,
    Change,
    Program,
    Rates,
    State,
    reduced,
    refusals_needed,
    replay,
    start,
)

HALF = Program(failure_rate=None, deferral_rate=50, return_after=3_600)
HOUR = 3_600


def counted(attempts):
    """Return the buckets of (second, word) pairs."""
    counts = {}
    for at, word in attempts:
        counts.setdefault(int(at) // BUCKET, {"sent": 0, "deferred": 0, "failed": 0})[word] += 1
    return [Bucket(number, **counts[number]) for number in counts]


def steady(per_hour, first, last, word):
    count = (last - first) * per_hour // HOUR
    return [(first + position * HOUR / per_hour, word) for position in range(count)]


def block(per_hour):
    """Two hours without a refusal, then an hour in which everything is deferred."""
    return counted(steady(per_hour, 0, 2 * HOUR, "sent") + steady(per_hour, 2 * HOUR, 3 * HOUR, "deferred"))


@pytest.mark.parametrize(("per_hour", "seconds"), [(36_000, 60), (3_600, 60), (600, 100), (120, 400), (70, 670)])
def test_a_total_block_is_decided_soon(per_hour, seconds):
    state, transitions = replay(start(0), block(per_hour), HALF, until=3 * HOUR - 1)
    assert [(each.change, each.at - 2 * HOUR) for each in transitions] == [(Change.BEGAN, seconds)]
    began = 2 * HOUR + seconds
    assert state == State(at=3 * HOUR - BUCKET, counted_from=began + 60, began_at=began, ends_at=began + 3_600)


@pytest.mark.parametrize("per_hour", [3_600, 36_000])
def test_steady_greylisting_does_not_trip_it(per_hour):
    """A quarter deferred, a trigger of half: at 3,600 an hour fewer than one false alarm in 200 hours."""
    alarms, hours = 0, 200 if per_hour == 3_600 else 10
    for seed in range(hours):
        dice = random.Random(seed)
        attempts = [(at, "deferred" if dice.random() < 0.25 else "sent") for at, _ in steady(per_hour, 0, HOUR, "")]
        alarms += len(replay(start(0), counted(attempts), HALF, until=HOUR)[1])
    assert alarms == 0


def test_a_receiver_that_defers_most_is_noticed_each_hour():
    for seed in range(20):
        dice = random.Random(seed)
        attempts = [(at, "deferred" if dice.random() < 0.6 else "sent") for at, _ in steady(3_600, 0, HOUR, "")]
        assert replay(start(0), counted(attempts), HALF, until=HOUR)[1][0].at <= 300


def test_it_ends_when_receivers_take_mail_again():
    program = Program(failure_rate=None, deferral_rate=50, return_after=600)
    attempts = (
        steady(3_600, 0, 1_000, "sent") + steady(3_600, 1_000, 1_100, "deferred") + steady(900, 1_100, 2_000, "sent")
    )
    state, transitions = replay(start(0), counted(attempts), program, until=2_000)
    # At the end of its hundredth second the block is over, and the period of ten minutes began at 1,060.
    assert [(each.change, each.at, each.ends_at) for each in transitions] == [
        (Change.BEGAN, 1_060, 1_660),
        (Change.ENDED, 1_660, None),
    ]
    assert state == State(at=2_000, counted_from=1_660)


def test_it_goes_on_while_receivers_refuse():
    program = Program(failure_rate=None, deferral_rate=50, return_after=600)
    attempts = steady(3_600, 0, 1_000, "sent") + steady(3_600, 1_000, 2_500, "deferred")
    _, transitions = replay(start(0), counted(attempts), program, until=2_500)
    assert [(each.change, each.at, each.ends_at) for each in transitions] == [
        (Change.BEGAN, 1_060, 1_660),
        (Change.EXTENDED, 1_660, 2_260),
        (Change.EXTENDED, 2_260, 2_860),
    ]
    assert transitions[0].rates == Rates(attempts=60, deferred=60, failed=0)


def test_two_attempts_are_too_few_to_go_on():
    program = Program(failure_rate=None, deferral_rate=50, return_after=600)
    attempts = [*steady(3_600, 0, 50, "deferred"), (500, "deferred"), (550, "deferred")]
    _, transitions = replay(start(0), counted(attempts), program, until=2_000)
    assert [each.change for each in transitions] == [Change.BEGAN, Change.ENDED]


def test_what_was_sent_before_the_mta_obeyed_does_not_keep_it_reduced():
    program = Program(failure_rate=None, deferral_rate=50, return_after=600)
    _, transitions = replay(start(0), counted(steady(3_600, 0, 100, "deferred")), program, until=2_000)
    assert [(each.change, each.at) for each in transitions] == [(Change.BEGAN, 50), (Change.ENDED, 650)]


def test_it_ends_without_a_single_attempt():
    program = Program(failure_rate=None, deferral_rate=50, return_after=605)
    state, transitions = replay(start(0), counted(steady(3_600, 0, 50, "deferred")), program, until=10_000)
    # A period ends on the boundary after it.
    assert [(each.change, each.at) for each in transitions] == [(Change.BEGAN, 50), (Change.ENDED, 660)]
    assert state == State(at=10_000, counted_from=660)


def test_failures_have_a_trigger_of_their_own():
    program = Program(failure_rate=5, deferral_rate=None, return_after=600)
    attempts = steady(3_600, 0, 300, "sent") + steady(3_600, 300, 600, "failed")
    assert [each.at for each in replay(start(0), counted(attempts), program, until=600)[1]] == [340]
    deferred = [(at, "deferred") for at, _ in attempts]
    assert replay(start(0), counted(deferred), program, until=600)[1] == []


def test_what_lies_before_a_transition_says_nothing():
    state = State(at=1_000, counted_from=1_000)
    assert replay(state, counted(steady(3_600, 0, 1_000, "deferred")), HALF, until=5_000)[1] == []


def test_a_window_is_a_minute_and_twenty_attempts_within_an_hour():
    fast = [Bucket(number, sent=10) for number in range(100)]
    assert window(fast, at=1_000, counted_from=0) == Rates(60, 0, 0)
    slow = [Bucket(number * 10, sent=1) for number in range(100)]
    assert window(slow, at=10_000, counted_from=0) == Rates(20, 0, 0)
    rare = [Bucket(number * 36, sent=1) for number in range(100)]
    assert window(rare, at=36_000, counted_from=0) == Rates(LONGEST_WINDOW // 360, 0, 0)


@pytest.mark.parametrize(
    ("attempts", "trigger", "needed"),
    [(20, 50, 11), (60, 50, 30), (20, 100, 20), (20, 5, 4), (100, 5, 8), (2_000, 5, 100), (20, 1, 2)],
)
def test_a_share_must_be_more_than_chance(attempts, trigger, needed):
    assert refusals_needed(attempts, trigger) == needed


@pytest.mark.parametrize(
    ("normal", "value", "limit"),
    [
        (0, {"percent": 25}, 0),
        (3, {"percent": 10}, 1),
        (999, {"percent": 25}, 249),
        (100, {"percent": 400}, 100),
        (100, {"fixed": 500}, 100),
        (0, {"fixed": 7}, 7),
        (100, {"fixed": 7}, 7),
        (100, {}, 100),
    ],
)
def test_a_limit_is_only_reduced(normal, value, limit):
    assert reduced(normal, **value) == limit


ATTEMPTS = st.lists(
    st.tuples(st.integers(0, 3_599), st.sampled_from(["sent", "deferred", "failed"])), min_size=1, max_size=300
)
PROGRAMS = st.builds(
    Program,
    failure_rate=st.one_of(st.none(), st.integers(1, 100)),
    deferral_rate=st.integers(1, 100),
    return_after=st.integers(1, 4_000),
)


@settings(deadline=None)
@given(attempts=ATTEMPTS, program=PROGRAMS, order=st.randoms(), looks=st.lists(st.integers(0, 7_200), max_size=20))
def test_neither_the_order_of_arrival_nor_the_looks_matter(attempts, program, order, looks):
    whole = replay(start(0), counted(attempts), program, until=7_200)
    shuffled = counted(attempts)
    order.shuffle(shuffled)
    assert replay(start(0), shuffled, program, until=7_200) == whole
    # Looking again and again, with all buckets there at each look, finds the same, one piece after the other.
    state, transitions = start(0), []
    for look in [*sorted(looks), 7_200]:
        state, found = replay(state, shuffled, program, until=look)
        transitions += found
    assert (state, transitions) == whole


@settings(deadline=None)
@given(attempts=ATTEMPTS, program=PROGRAMS)
def test_a_reduced_rate_has_an_end_after_its_beginning(attempts, program):
    state, transitions = replay(start(0), counted(attempts), program, until=7_200)
    assert [each.change for each in transitions if each.change != Change.EXTENDED] == [
        Change.ENDED if position % 2 else Change.BEGAN
        for position in range(sum(each.change != Change.EXTENDED for each in transitions))
    ]
    assert all(each.ends_at == each.at + program.return_after for each in transitions if each.change != Change.ENDED)
    assert state.is_reduced == (bool(transitions) and transitions[-1].change != Change.ENDED)


@settings(deadline=None)
@given(attempts=ATTEMPTS, more=ATTEMPTS, program=PROGRAMS, first=st.integers(0, 3_600))
def test_it_decides_as_the_slow_evaluator_does(attempts, more, program, first):
    # Densely at first, then some in three hours; from any state that a replay leaves.
    buckets = counted([*attempts, *((3_600 + at * 3, word) for at, word in more)])
    state, _ = slow_backoff.replay(start(0), buckets, program, until=first)
    assert replay(state, buckets, program, until=18_000) == slow_backoff.replay(state, buckets, program, until=18_000)


@pytest.mark.parametrize(("per_hour", "share"), [(36_000, 0.55), (3_600, 0.55), (360, 0.6), (36, 0.9)])
def test_it_decides_on_a_day_as_the_slow_evaluator_does(per_hour, share):
    dice = random.Random(per_hour)
    attempts = [(at, "deferred" if dice.random() < share else "sent") for at, _ in steady(per_hour, 0, 6 * HOUR, "")]
    buckets = counted(attempts)
    found = replay(start(0), buckets, HALF, until=7 * HOUR)
    assert found == slow_backoff.replay(start(0), buckets, HALF, until=7 * HOUR)
    assert found[1]


def test_the_work_grows_with_the_buckets_and_not_with_their_square(monkeypatch):
    looked_at = {}
    for hours in (3, 24):
        buckets = counted(steady(360, 0, hours * HOUR, "sent"))
        calls = []
        monkeypatch.setattr(backoff, "bisect_left", lambda *given, calls=calls: calls.append(1) or bisect_left(*given))
        replay(start(0), buckets, HALF, until=hours * HOUR)
        looked_at[hours] = len(calls)
    assert looked_at[24] <= 8.1 * looked_at[3]
