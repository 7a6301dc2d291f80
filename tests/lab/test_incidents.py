"""Incidents in their short form: blocks and tarpits of receivers, mail that waits, and what the loop makes of an outage."""

import itertools
import random

import pytest

from tests.lab import incident
from tests.lab.fleet import WAITS, Fleet
from tests.lab.receivers import ACCEPTED, DAY, HOUR, SHUT_OUT, Habits, Mailbox, Receiver, read
from tests.lab.scenarios_in_order import SCENARIOS, numbers

A, B = "192.0.2.1", "192.0.2.2"
INCIDENTS = [name for name, run in SCENARIOS.items() if run is incident.run]


def receiver(**habits) -> Receiver:
    return read_one({"name": "Receiver", "domain": "a.example", "growth": None, **habits})


def read_one(given) -> Receiver:
    return Receiver(read(given), random.Random(1))


def test_a_block_is_of_one_address_until_it_has_been_quiet():
    one = receiver(blocks=[{"address": A, "begins": 1, "quiet_hours": 2}])
    assert one.answer(A, HOUR - 1) == ACCEPTED
    assert one.answer(A, HOUR) == SHUT_OUT
    assert one.answer(B, HOUR) == ACCEPTED
    # An attempt within the two hours begins them anew.
    assert one.answer(A, 2 * HOUR) == SHUT_OUT
    assert one.answer(A, 4 * HOUR - 1) == SHUT_OUT
    assert one.answer(A, 6 * HOUR) == ACCEPTED
    assert one.answer(A, 6 * HOUR + 1) == ACCEPTED


def test_a_tarpit_answers_slowly_while_the_reputation_is_low():
    one = receiver(tarpit_seconds=20, tarpitted_below=0.7)
    assert one.answer(A, 0, Mailbox.COMPLAINS).seconds == 20
    assert one.answer(B, 0).seconds == 0
    assert one.answer(A, 5 * DAY).seconds == 0


def fleet(*receivers, messages_per_hour=3_600) -> Fleet:
    return Fleet({"messages_per_hour": messages_per_hour}, receivers, random.Random(1))


def test_mail_keeps_to_its_limit_and_the_rest_waits():
    one = fleet(receiver())
    attempts = list(one.step(0, HOUR, lambda *_: (600, 0), lambda _: {A: 1}))
    assert (len(attempts), one.waiting()) == (600, 3_000)
    assert all(after.at - before.at >= 6 - 1e-6 for before, after in itertools.pairwise(attempts))


def test_deferred_mail_is_tried_again_after_the_waits_of_mtas():
    one = fleet(receiver(outages=[[0, 1]]), messages_per_hour=1)
    seen = [
        each for begin in range(0, 3 * HOUR, 60) for each in one.step(begin, 60, lambda *_: (0, 0), lambda _: {A: 1})
    ]
    first = [each.at for each in seen if each.message.number == 0]
    assert [round(after - before) for before, after in itertools.pairwise(first)] == list(WAITS[: len(first) - 1])
    assert seen[-1].reply == ACCEPTED


def test_a_tarpit_holds_as_many_messages_as_there_are_connections():
    one = fleet(receiver(tarpit_seconds=20, tarpitted_below=1.0))
    assert len(list(one.step(0, HOUR, lambda *_: (0, 10), lambda _: {A: 1}))) == HOUR * 10 // 20


def test_mail_leaves_by_the_addresses_that_are_drawn():
    one = fleet(receiver())
    assert {each.address for each in one.step(0, 60, lambda *_: (60, 0), lambda _: {A: 1, B: 0})} == {A}
    assert one.waiting() == 59
    # What waited for the first address is drawn anew once it rests, and waits where all do.
    assert {each.address for each in one.step(60, 60, lambda *_: (0, 0), lambda _: {B: 1})} == {B}
    assert one.waiting() == 0
    assert list(one.step(120, 60, lambda *_: (0, 0), lambda _: {})) == []
    assert one.waiting() == 60


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_has_bounds_of_figures(name):
    given = numbers(name)
    assert given["incident_at_hours"] < given["hours"]
    for bound in given["bounds"]:
        assert bound.keys() >= {"figure", "sentence"}
        assert bound.keys() & {"most", "least"}


@pytest.mark.django_db
def test_an_hour_of_outage():
    given = numbers("outage") | {"hours": 1, "incident_at_hours": 0.25}
    given["receivers"][0]["outages"] = [[0.25, 0.75]]
    story = incident.run(given, seed=1, days=None)
    assert "back-off began: 192.0.2." in story.text()
    assert "the dashboard says: 192.0.2." in story.text()
    assert story.figures["drained"] == 0
    assert story.figures["decided_after_seconds"] <= 240
    assert story.figures["deferrals"] < 0.8


def test_habits_are_read_with_blocks():
    assert read({"name": "A", "domain": "a.example"}) == Habits("A", "a.example")
