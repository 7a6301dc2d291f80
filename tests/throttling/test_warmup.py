"""Warm-up, the pure engine: what follows from a day, within its rails, and why."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throttling import warmup
from throttling.warmup import Change, Counts, Day, Plan, first_day, next_day, per_hour, warm_on

PLAN = Plan(days=(100, 200, 400, 800, 1600), providers={"Yahoo": (24, 48, 96, 192, 384)})
GOOD = {"Yahoo": Counts(sent=40), warmup.OTHERS: Counts(sent=350, deferred=10)}


def on_day(number: int, **more: int) -> Day:
    return Day(
        number, PLAN.days[number - 1], {"Yahoo": PLAN.providers["Yahoo"][number - 1]}, Change.ADVANCED, "", **more
    )


def test_it_works() -> None:
    assert first_day(PLAN) == Day(1, 100, {"Yahoo": 24}, Change.BEGAN, "day 1: the warm-up began")
    assert next_day(PLAN, on_day(3), GOOD) == Day(
        4, 800, {"Yahoo": 192}, Change.ADVANCED, "day 4: 97 % of 400 attempts were accepted yesterday"
    )


@pytest.mark.parametrize(
    ("happened", "number", "reason"),
    [
        ({"Yahoo": Counts(sent=69, deferred=31), "Gmail": Counts(sent=300)}, 3,
         "day 3 repeated: Yahoo deferred 31 % yesterday"),
        ({"Yahoo": Counts(sent=40, bounced=60)}, 1, "back from day 3 to day 1: Yahoo refused 60 % yesterday"),
        ({"Gmail": Counts(sent=92, bounced=8, blocked=8)}, 3, "day 3 repeated: Gmail blocked 8 % yesterday"),
        ({"Gmail": Counts(sent=1000, complaint=5)}, 1,
         "back from day 3 to day 1: 0.5 % of the recipients at Gmail complained yesterday"),
        # A list that complains half as often as allowed sometimes has two among three hundred, and hardly ever three.
        ({"Gmail": Counts(sent=300, complaint=2)}, 4, "day 4: 100 % of 300 attempts were accepted yesterday"),
        ({"Gmail": Counts(sent=300, complaint=3)}, 1,
         "back from day 3 to day 1: 1 % of the recipients at Gmail complained yesterday"),
        ({"Gmail": Counts(sent=79)}, 3, "day 3 repeated: only 79 of 400 messages were sent yesterday"),
        ({"Gmail": Counts(sent=80)}, 4, "day 4: 100 % of 80 attempts were accepted yesterday"),
        ({}, 3, "day 3 repeated: nothing was sent yesterday"),
        # Nineteen attempts say nothing of Yahoo, but are among all.
        ({"Yahoo": Counts(deferred=19), "Gmail": Counts(sent=300)}, 4, "day 4: 94 % of 319 attempts were accepted yesterday"),
    ],
)  # fmt: skip
def test_what_happened_decides(happened: dict[str, Counts], number: int, reason: str) -> None:
    found = next_day(PLAN, on_day(3), happened)
    assert found is not None
    assert (found.number, found.reason) == (number, reason)


def test_a_second_bad_day_goes_back() -> None:
    bad = {"Yahoo": Counts(sent=70, deferred=30)}
    first = next_day(PLAN, on_day(3), bad)
    assert first is not None
    assert (first.number, first.bad_days) == (3, 1)
    second = next_day(PLAN, first, bad)
    assert second is not None
    assert (second.number, second.change, second.reason) == (
        2, Change.WENT_BACK, "back from day 3 to day 2: Yahoo deferred 30 % yesterday",
    )  # fmt: skip
    third = next_day(PLAN, second, {"Yahoo": Counts(sent=200)})
    assert third is not None
    assert (third.number, third.bad_days) == (3, 0)


def test_an_idle_address_goes_back_some_days() -> None:
    day: Day | None = on_day(5)
    numbers = []
    for _ in range(22):
        assert day is not None
        day = next_day(PLAN, day, {})
        assert day is not None
        numbers.append(day.number)
    assert numbers == [5] * 13 + [2] * 7 + [1, 1]
    assert day is not None
    assert day.reason == "day 1 repeated: nothing was sent for 22 days"


def test_a_panel_that_was_away_makes_one_step() -> None:
    found = next_day(PLAN, on_day(3), {"Gmail": Counts(sent=900)}, days=3)
    assert found is not None
    assert (found.number, found.cap) == (4, 800)
    assert next_day(PLAN, on_day(3), {}, days=20) == Day(
        1, 100, {"Yahoo": 24}, Change.WENT_BACK, "back from day 3 to day 1: nothing was sent for 20 days", 20
    )


def test_a_lock_by_hand_holds_the_day_whatever_happened() -> None:
    for happened in (GOOD, {}, {"Yahoo": Counts(bounced=1000)}):
        found = next_day(PLAN, on_day(3), happened, is_locked=True)
        assert found is not None
        assert (found.number, found.reason) == (3, "day 3 repeated: held by hand")


def test_after_the_last_day_it_is_warm() -> None:
    assert next_day(PLAN, on_day(5), {"Gmail": Counts(sent=1600)}) is None
    assert warm_on(PLAN, 3, datetime.date(2026, 7, 10)) == datetime.date(2026, 7, 13)


def test_an_hour_has_its_part_and_a_day_never_more_than_its_cap() -> None:
    assert [per_hour(cap) for cap in (24, 47, 48, 1000)] == [1, 1, 2, 41]
    assert [warmup.due(100, hour) for hour in (0, 11, 23)] == [4, 50, 100]


COUNTS = st.builds(Counts, *[st.integers(0, 2000)] * 4, st.integers(0, 300))
HAPPENED = st.dictionaries(st.sampled_from(["Gmail", "Yahoo", warmup.OTHERS]), COUNTS)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    days = draw(st.lists(st.integers(24, 50_000), min_size=1, max_size=30))
    return Plan(
        days=tuple(days),
        providers={"Yahoo": tuple(max(24, number // 3) for number in days)} if draw(st.booleans()) else {},
        least_accepted=draw(st.integers(1, 100)),
        most_blocked=draw(st.integers(0, 100)),
        most_complained=draw(st.integers(0, 100)),
        largest_step=draw(st.integers(1, 300)),
        floor=draw(st.integers(24, 200)),
    )


@given(plans(), st.lists(st.tuples(HAPPENED, st.integers(1, 30), st.booleans()), max_size=40))
def test_the_rails_hold_whatever_happens(plan: Plan, story: list) -> None:
    day = first_day(plan)
    for happened, days, is_locked in story:
        found = next_day(plan, day, happened, days=days, is_locked=is_locked)
        # The same again: nothing but its arguments counts.
        assert found == next_day(plan, day, happened, days=days, is_locked=is_locked)
        if found is None:
            assert day.number == len(plan.days)
            assert not is_locked
            return
        assert 1 <= found.number <= len(plan.days)
        assert found.number <= day.number + (0 if is_locked else 1)
        for cap, before in (
            (found.cap, day.cap),
            *((found.provider_caps[n], day.provider_caps[n]) for n in plan.providers),
        ):
            assert plan.floor <= cap
            assert cap <= max(plan.floor, before + before * plan.largest_step // 100)
            assert per_hour(cap) * 24 <= cap
        total = sum(happened.values(), Counts())
        if found.change == Change.ADVANCED:
            assert total.sent * 100 >= plan.least_accepted * total.attempts or total.attempts < warmup.LEAST_ATTEMPTS
            assert total.sent * 5 >= day.cap * days
        day = found


@given(plans())
def test_a_plan_whose_days_all_go_well_takes_its_days(plan: Plan) -> None:
    day: Day | None = first_day(plan)
    numbers = []
    while day is not None:
        numbers.append(day.number)
        day = next_day(plan, day, {"Gmail": Counts(sent=day.cap)})
    assert numbers == list(range(1, len(plan.days) + 1))
