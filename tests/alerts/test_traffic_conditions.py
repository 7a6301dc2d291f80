"""Conditions of what is counted: habits of servers and sources, complaint rates, refused records."""

import datetime
from typing import Any

import pytest

from alerts.models import Alert
from core.audit import Actor
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.event_sources import make_source
from stats.models import Batch, ServerCount, SourceCount
from tests.alerts.looks import NBSP, change, count, found, opened, with_habit
from tests.factories import A_MOMENT, OrganizationFactory, ServerFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
SYSTEM = Actor.system()


def test_a_server_is_silent_that_sent_at_this_time_of_each_day_for_a_week():
    acme = OrganizationFactory(name="Acme")
    usual, new, held = (ServerFactory(name=name, organization=acme) for name in ("Usual", "New", "Held"))
    with_habit(usual)
    with_habit(new, days=6)
    with_habit(held, held=1)
    detail = "No message came or went; it had mail at this time of day on each of 7 days before"
    assert found("server_silent") == [
        ("warn", "Server Held of Acme has been silent for 3 hours", detail),
        ("warn", "Server Usual of Acme has been silent for 3 hours", detail),
    ]
    # An hour with a complaint alone is one without mail, and one message ends the silence.
    count(usual, Grain.HOUR, buckets.hour_of(A_MOMENT) - 1, complaint=1)
    count(held, Grain.HOUR, buckets.hour_of(A_MOMENT), held=1)
    assert [text for _, text, _ in found("server_silent")] == ["Server Usual of Acme has been silent for 3 hours"]


@pytest.mark.parametrize(
    "state",
    [
        {"mode": "development"},
        {"deleted_at": A_MOMENT},
        {"suspended_at": A_MOMENT},
    ],
)
def test_a_server_that_may_not_send_is_not_silent(state):
    with_habit(ServerFactory(**state))
    assert found("server_silent") == []


def test_a_silent_server_stays_silent_when_the_silence_has_become_its_habit_until_a_week_is_over():
    server = ServerFactory()
    with_habit(server)
    opened("server_silent", change("servers_server", server.pk), organization=None)
    assert len(found("server_silent", at=A_MOMENT + 2 * DAY)) == 1
    assert len(found("server_silent", at=A_MOMENT + 5 * DAY)) == 1
    assert found("server_silent", at=A_MOMENT + 8 * DAY) == []
    Alert.objects.all().delete()
    assert found("server_silent", at=A_MOMENT + 2 * DAY) == []


def test_while_counts_are_late_no_server_becomes_silent():
    with_habit(ServerFactory())
    Batch.objects.create(
        received_at=A_MOMENT - HOUR, event_count=7, least_key="0" * 32, greatest_key="0" * 31 + "1", folded_at=None
    )
    assert found("server_silent") == []


def complain(server: Server, sent: int, complaints: int) -> None:
    ServerCount.objects.filter(server_id=server.pk).delete()
    today = buckets.day_of(A_MOMENT)
    count(server, Grain.DAY, today, sent=sent, complaint=complaints - complaints // 2)
    count(server, Grain.DAY, today - 6, complaint=complaints // 2)
    count(server, Grain.DAY, today - 7, sent=1, complaint=1_000)


@pytest.mark.parametrize(
    ("sent", "complaints", "open_as", "level"),
    [
        (10_000, 9, "", ""),
        (10_000, 10, "", "warn"),
        (10_000, 29, "", "warn"),
        (10_000, 30, "", "bad"),
        # Too few to say anything.
        (999, 50, "", ""),
        (1_000, 4, "", ""),
        # What is open ends lower.
        (10_000, 9, "warn", "warn"),
        (10_000, 8, "warn", "warn"),
        (10_000, 7, "warn", ""),
        (10_000, 30, "warn", "bad"),
        (10_000, 26, "bad", "bad"),
        (10_000, 24, "bad", "warn"),
        (10_000, 7, "bad", ""),
    ],
)
def test_a_complaint_rate_has_two_severities_and_ends_below_where_it_began(sent, complaints, open_as, level):
    server = ServerFactory(name="News", organization__name="Acme")
    complain(server, sent, complaints)
    if open_as:
        opened("complaint_rate", change("servers_server", server.pk), level=open_as)
    assert [each for each, _, _ in found("complaint_rate")] == ([level] if level else [])


def test_a_complaint_rate_says_its_numbers_to_its_organization_alone():
    server, other = ServerFactory(name="News", organization__name="Acme"), ServerFactory()
    complain(server, 10_000, 12)
    expected = [
        (
            "warn",
            f"Recipients of server News of Acme complain of 0.12{NBSP}% of its mail",
            (
                f"12 complaints of 10,000 messages in 7 days; large providers ask for less than 0.1{NBSP}%,"
                f" and refuse mail above 0.3{NBSP}%"
            ),
        )
    ]
    assert found("complaint_rate", organization=server.organization) == expected
    assert found("complaint_rate") == expected
    assert found("complaint_rate", organization=other.organization) == []


# --- Event sources ----------------------------------------------------------------------------------------------------


def record(source: Any, hour: int, outcome: str, number: int = 1, code: str = "") -> None:
    SourceCount.objects.create(source=source, hour=hour, outcome=outcome, code=code, number=number)


def test_a_source_is_silent_against_its_habit_and_not_once_it_is_revoked():
    hour = buckets.hour_of(A_MOMENT)
    source = make_source(name="Collector", format="native", actor=SYSTEM).source
    for day in range(1, 8):
        for before in (1, 2, 3):
            record(source, hour - 24 * day - before, "accepted")
    assert found("source_silent") == [
        (
            "bad",
            "Event source Collector has been silent for 3 hours",
            "It reported at this time of day on each of 7 days before",
        )
    ]
    assert found("source_silent", organization=OrganizationFactory()) == []
    record(source, hour - 3, "ignored")
    assert len(found("source_silent")) == 1
    source.revoked_at = A_MOMENT
    source.save()
    assert found("source_silent") == []


@pytest.mark.parametrize(
    ("refused", "is_open", "level"),
    [(9, False, ""), (10, False, "warn"), (5, True, "warn"), (4, True, ""), (100, False, "bad")],
)
def test_a_source_whose_records_are_refused(refused, is_open, level):
    hour = buckets.hour_of(A_MOMENT)
    source = make_source(name="Collector", format="native", actor=SYSTEM).source
    if refused < 100:
        record(source, hour, "accepted", 100 - refused)
    record(source, hour - 1, "refused", refused - 1, "unknown_type")
    record(source, hour - 1, "conflicts", 1, "conflict")
    # Older ones say nothing of now.
    record(source, hour - 3, "refused", 1_000)
    if is_open:
        opened("source_refused", change("stats_eventsource", source.pk))
    assert found("source_refused") == (
        [
            (
                level,
                f"Of the records of event source Collector, {refused}{NBSP}% are refused",
                f"{refused} of 100 in this hour and the last; its page has the reasons",
            )
        ]
        if level
        else []
    )
