"""The laboratory in its short form: receivers keep to their habits, and scenarios find what they are about."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cast import SYSTEM
from tests.lab import bad_customer, cold_address, dead_zone, overload, panel_stopped
from tests.lab.receivers import (
    ACCEPTED,
    AWAY,
    BLOCKED,
    DAY,
    GREYLISTED,
    HOUR,
    LIMITED,
    NEW_TO_US,
    UNKNOWN,
    Habits,
    Mailbox,
    Receiver,
    read,
)
from tests.lab.scenarios_in_order import SCENARIOS, numbers
from tests.lab.story import Story
from throttling import warm_up_plans

pytestmark = pytest.mark.live

A, B = "192.0.2.1", "192.0.2.2"
ROOT = Path(__file__).parents[2]


def receiver(**habits) -> Receiver:
    return Receiver(Habits("Receiver", "a.example", **habits), random.Random(1))


def test_a_limit_is_of_each_address():
    one = receiver(messages_per_hour=600, growth=None)
    answers = [one.answer(A, at) for at in range(HOUR)]
    assert (answers.count(ACCEPTED), answers.count(LIMITED)) == (601, 2_999)
    assert one.answer(B, HOUR - 1) == ACCEPTED


def test_volume_may_double_each_day():
    one = receiver(fresh=100)
    taken = [sum(one.answer(A, day * DAY + number) == ACCEPTED for number in range(250)) for day in range(3)]
    assert taken == [100, 200, 250]
    assert one.answer(B, 3 * DAY) == ACCEPTED


def test_mail_far_above_the_volume_is_blocked_and_time_heals():
    one = receiver(fresh=100)
    answers = [one.answer(A, number) for number in range(20_000)]
    assert (answers[:100], answers[100], answers[-1]) == ([ACCEPTED] * 100, NEW_TO_US, BLOCKED)
    assert one.reputation(A) < 0.5
    assert one.answer(A, DAY) == BLOCKED
    assert one.answer(A, 3 * DAY) == ACCEPTED


@pytest.mark.parametrize(("share", "is_blocked"), [(0.04, False), (0.25, True)])
def test_unknown_mailboxes_lower_the_reputation(share, is_blocked):
    one, dice = receiver(growth=None), random.Random(1)
    boxes = [Mailbox.UNKNOWN if dice.random() < share else Mailbox.GOOD for _ in range(20_000)]
    answers = {one.answer(A, number * DAY / 2_000, box) for number, box in enumerate(boxes)}
    assert answers == {ACCEPTED, UNKNOWN, *([BLOCKED] if is_blocked else [])}


def test_complaints_follow_accepted_mail():
    one = receiver()
    answer = one.answer(A, 0, Mailbox.COMPLAINS)
    assert (answer.word, answer.complains) == ("sent", True)
    assert one.reputation(A) < 0.7


def test_outages_and_greylisting():
    one = receiver(greylisted=0.25, growth=None, outages=((1, 2),))
    answers = [one.answer(A, at) for at in range(2 * HOUR)]
    assert set(answers[:HOUR]) == {ACCEPTED, GREYLISTED}
    assert 0.22 < answers[:HOUR].count(GREYLISTED) / HOUR < 0.28
    assert set(answers[HOUR:]) == {AWAY}


def test_a_habit_that_there_is_not_is_an_error():
    with pytest.raises(TypeError, match="mesages"):
        read({"name": "A", "domain": "a.example", "mesages_per_hour": 1})


def test_each_scenario_has_a_file_with_a_title_and_bounds():
    for name in SCENARIOS:
        assert numbers(name)["title"]
        assert numbers(name)["bounds"]


@pytest.mark.django_db
def test_half_an_hour_of_overload():
    story = overload.run({**numbers("overload"), "hours": 0.5}, seed=1, days=None)
    [began, without, with_it] = story.lines
    assert "back-off began: 900 messages an hour. " in began
    assert without == "without the loop: 301 accepted, 1,499 deferred"
    assert with_it.startswith("with the loop:    ")
    assert 0.09 < story.figures["deferrals"] < 0.14
    assert story.figures["accepted"] > 0.98


@pytest.mark.django_db
def test_a_cold_address_in_some_days():
    plan = warm_up_plans.create(name="Days", days=[240, 480], providers={}, actor=SYSTEM)
    given = numbers("cold_address") | {
        "plan": plan.name,
        "messages_per_day": 4_000,
        "complaints": 0,
        "unknown_users": 0,
    }
    story = cold_address.run(given, seed=1, days=3)
    assert [line.partition("  cap")[0] for line in story.lines[:2]] == ["1 June", "2 June"]
    assert story.lines[2] == "warm after 2 days"
    assert story.lines[-1].endswith(
        "warm after 2 days at the median, 2 at the 90th percentile; in 0 after more than 2.6"
    )
    assert story.figures == {"blocked_with": 0, "blocked_without": 3, "warm_after": 2}


@pytest.mark.django_db
def test_some_hours_with_a_bad_customer():
    given = numbers("bad_customer") | {"hours": 4, "bad_after_hours": 1, "operator_takes_hours": 2}
    story = bad_customer.run(given, seed=1, days=None)
    assert 0 < story.figures["named_after"] <= 1
    assert story.figures["drained"] <= 0.3
    assert any("named first: Thorn: Mailer, " in line for line in story.lines)
    assert any(line.endswith("the operator suspends Thorn") for line in story.lines)


@pytest.mark.django_db
@pytest.mark.server
def test_a_dead_zone_drains_nothing():
    story = dead_zone.run(numbers("dead_zone") | {"hours": 6}, seed=1, days=None)
    assert story.figures == {"believed": 8, "drained": 0}
    assert [line.split("  ")[1].partition(":")[0] for line in story.lines[:3]] == [
        "the zone is well", "the zone answers everything", "the resolver is down",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_panel_that_is_away_for_some_hours():
    given = numbers("panel_stopped") | {"stopped_after_minutes": 5, "stopped_minutes": 240, "returned_minutes": 10}
    story = panel_stopped.run(given, seed=1, days=None)
    assert story.holds, story.text()
    assert story.figures["while_stopped"] == 0
    # At 900 messages an hour, which the last overlay said.
    assert story.figures["backlog"] == pytest.approx(4 * 900, abs=10)


def test_a_story_holds_where_all_its_bounds_do():
    story = Story()
    story.tell("What was seen")
    story.expect("at most 1", 1, holds=True)
    assert (story.holds, story.text()) == (True, "  What was seen\n  ok     at most 1: 1")
    story.expect("at most 2", 3, holds=False)
    assert (story.holds, story.text().splitlines()[-1]) == (False, "  MISSED at most 2: 3")


def test_an_unknown_scenario_is_an_error():
    ran = subprocess.run(
        [sys.executable, "-m", "tests.lab", "overlord"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 2
    assert "there is no scenario overlord; there are overload, cold_address, " in ran.stderr
