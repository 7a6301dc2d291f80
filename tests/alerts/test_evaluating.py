"""Alerts begin, change and end, and channels are told once."""

import datetime

import pytest

from alerts.announcing import announce
from alerts.conditions import CONDITIONS
from alerts.evaluating import Outcome, evaluate, evaluate_all, forget_old, note
from alerts.models import Alert, Message, Notice
from core import alerts as set_aside
from core.audit import Actor
from servers.models import Domain
from tests.alerts.conftest import MINUTE, Minutes, item
from tests.alerts.factories import AlertFactory, ChannelFactory, MessageFactory
from tests.factories import A_MOMENT, OrganizationFactory, ServerFactory
from tests.races import at_once, in_the_open

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
DAY = datetime.timedelta(days=1)


def subjects():
    return list(Message.objects.order_by("pk").values_list("channel__name", "subject"))


def test_it_begins_when_it_is_seen_again_and_ends_when_it_is_missed_for_minutes():
    ChannelFactory(name="ops")
    minutes = Minutes()
    assert minutes.see(item()) == Outcome()
    assert list(Alert.objects.begun()) == []
    assert minutes.see(item()) == Outcome(began=1, messages=1)
    alert = Alert.objects.get()
    assert (alert.organization, alert.condition, alert.level, alert.text, alert.since, alert.began_at, alert.ended_at) == (
        None, "domain_dns", "bad", "a.example fails its DNS checks", A_MOMENT + MINUTE, A_MOMENT + 2 * MINUTE, None,
    )  # fmt: skip
    assert minutes.see(item(), times=10) == Outcome()
    assert minutes.see(times=5) == Outcome()
    assert minutes.see() == Outcome(ended=1, messages=1)
    assert minutes.see(times=5) == Outcome()
    assert subjects() == [
        ("ops", "Alert: a.example fails its DNS checks"),
        ("ops", "Ended: a.example fails its DNS checks"),
    ]
    alert.refresh_from_db()
    assert alert.ended_at == A_MOMENT + 18 * MINUTE
    # Coming back, it is another.
    assert minutes.see(item(), times=2) == Outcome(began=1, messages=1)
    assert Alert.objects.count() == 2


def test_what_comes_and_goes_is_no_alert_or_one():
    ChannelFactory()
    minutes = Minutes()
    for _ in range(10):
        minutes.see(item())
        minutes.see()
    assert not Alert.objects.exists()
    minutes.see(item(), times=2)
    for _ in range(10):
        minutes.see(times=3)
        minutes.see(item())
    assert Alert.objects.open().count() == 1
    assert len(subjects()) == 1


def test_an_evaluation_that_runs_twice_at_a_time_counts_once():
    minutes = Minutes()
    minutes.see(item())
    for _ in range(3):
        note(organization=None, items=[item()], at=minutes.at + datetime.timedelta(seconds=5))
    assert not Alert.objects.begun().exists()


def test_twenty_that_begin_together_are_one_message():
    ChannelFactory()
    many = [item(f"d{n}.example") for n in range(20)]
    minutes = Minutes()
    minutes.see(*many)
    assert minutes.see(*many) == Outcome(began=20, messages=1)
    message = Message.objects.get()
    assert message.subject == "Alerts: 20 began"
    assert all(each.text in message.body for each in many)
    assert message.notices.count() == 20
    # A line each below one heading.
    assert message.body == "\n".join(
        [
            "Alerts of the platform, 2026-11-18 10:32 UTC",
            "",
            "Alert: Domain fails its DNS checks, 20 times",
            "Since 2026-11-18 10:31 UTC",
            *(f"* d{n}.example fails its DNS checks (SPF missing)" for n in range(20)),
            "",
        ]
    )


def test_more_than_are_named_take_the_place_of_each_without_a_message_of_their_ends():
    ChannelFactory()
    minutes, group = Minutes(), item("51 domains", is_group=True, url="/admin/servers/domain/?checks=failing")
    minutes.see(item("a.example"), times=2)
    minutes.see(group, times=2)
    assert minutes.see(group, times=4) == Outcome(ended=1)
    assert [subject for _, subject in subjects()] == [
        "Alert: a.example fails its DNS checks",
        "Alert: 51 domains fails its DNS checks",
    ]
    assert Alert.objects.get(is_group=False).is_replaced


def test_it_changes_and_getting_worse_is_told():
    ChannelFactory(name="all", least="note")
    ChannelFactory(name="bad", least="bad")
    minutes = Minutes()
    minutes.see(item(level="warn"), times=2)
    assert minutes.see(item(level="bad", text="a.example fails more")) == Outcome(messages=2)
    assert minutes.see(item(level="warn"), times=3) == Outcome()
    assert minutes.see(item(level="bad"), times=3) == Outcome()
    assert subjects() == [
        ("all", "Alert: a.example fails its DNS checks"),
        ("all", "Worse: a.example fails more"),
        ("bad", "Alert: a.example fails more"),
    ]


def test_channels_are_chosen_by_severity_and_condition():
    for name, more in {
        "everything": {"least": "note"},
        "mail affected": {"least": "bad"},
        "domains": {"conditions": ["domain_dns"]},
        "disabled": {"enabled": False},
    }.items():
        ChannelFactory(name=name, **more)
    found = [
        item("a.example"),
        item("b.example", level="warn", condition="back_off"),
        item("c.example", level="note", condition="address_paused"),
    ]
    Minutes().see(*found, times=2)
    told = Notice.objects.values_list("channel__name", "alert__condition").order_by("channel__name", "alert__condition")
    assert list(told) == [
        ("domains", "domain_dns"),
        ("everything", "address_paused"),
        ("everything", "back_off"),
        ("everything", "domain_dns"),
        ("mail affected", "domain_dns"),
    ]


def test_a_new_channel_is_told_of_what_is_open():
    minutes = Minutes()
    minutes.see(item(), times=2)
    ChannelFactory(name="late")
    assert minutes.see(item()) == Outcome(messages=1)
    assert subjects() == [("late", "Alert: a.example fails its DNS checks")]


def test_a_reminder_comes_each_day_until_it_is_acknowledged():
    ChannelFactory()
    minutes = Minutes()
    minutes.see(item(), times=2)
    minutes.at += DAY - 2 * MINUTE
    assert minutes.see(item()) == Outcome()
    assert minutes.see(item(), times=1) == Outcome(messages=1)
    assert minutes.see(item(), times=3) == Outcome()
    assert subjects()[-1][1] == "Still: a.example fails its DNS checks"
    alert = Alert.objects.get()
    set_aside.set_aside(
        audience=alert.audience,
        key=alert.key,
        label=alert.text,
        is_hidden=False,
        until=minutes.at + set_aside.LONGEST,
        at=minutes.at,
        actor=Actor.system(),
    )
    for _ in range(5):
        minutes.at += DAY
        assert minutes.see(item()) == Outcome()
    minutes.at += 3 * DAY
    assert minutes.see(item()) == Outcome(messages=1)
    # The end is told, acknowledged or not.
    assert minutes.see(times=6) == Outcome(ended=1, messages=1)


def test_what_an_operator_intends_has_no_reminder():
    ChannelFactory(least="note")
    minutes = Minutes()
    minutes.see(item(level="note"), times=2)
    minutes.at += DAY
    assert minutes.see(item(level="note")) == Outcome()


def failing(name):
    server = ServerFactory(name=f"{name} server")
    Domain.objects.create(server=server, name=f"{name}.example", dkim_public_key="p", spf_status="missing")
    return server.organization


def test_an_organizations_people_hear_of_their_own_only():
    acme, globex = failing("acme"), failing("globex")
    for organization, name in ((acme, "acme"), (globex, "globex"), (None, "platform")):
        ChannelFactory(organization=organization, name=name, conditions=["domain_dns"])
    evaluate_all(at=A_MOMENT)
    evaluate_all(at=A_MOMENT + MINUTE)
    bodies = dict(Message.objects.values_list("channel__name", "body"))
    assert {name: [word for word in ("acme.example", "globex.example") if word in body] for name, body in bodies.items()} == {
        "acme": ["acme.example"],
        "globex": ["globex.example"],
        "platform": ["acme.example", "globex.example"],
    }  # fmt: skip


def test_every_condition_that_is_found_is_in_the_list():
    acme = failing("acme")
    evaluate(organization=acme, at=A_MOMENT)
    rows = Alert.objects.filter(organization=acme).values_list("condition", "level")
    assert sorted(rows) == [("domain_dns", "bad"), ("server_without_pool", "bad")]
    assert {name for name, _ in rows} <= CONDITIONS.keys()


def test_an_organization_without_channels_costs_no_evaluation():
    failing("acme")
    OrganizationFactory()
    evaluate_all(at=A_MOMENT)
    assert not Alert.objects.exclude(organization=None).exists()


def test_an_error_of_one_organization_keeps_no_other_from_its_alerts(monkeypatch):
    acme, globex = failing("acme"), failing("globex")
    for organization in (acme, globex):
        ChannelFactory(organization=organization)
    from alerts import evaluating

    real = evaluating.of_organization

    def broken(organization):
        if organization == acme:
            raise ValueError("broken")
        return real(organization)

    monkeypatch.setattr(evaluating, "of_organization", broken)
    evaluate_all(at=A_MOMENT)
    assert set(Alert.objects.exclude(organization=None).values_list("organization_id", flat=True)) == {globex.pk}


def test_old_ones_are_forgotten_and_an_open_one_is_not_told_of_again():
    channel, minutes = ChannelFactory(), Minutes()
    minutes.see(item(), times=2)
    Message.objects.update(state="sent", due_at=None)
    AlertFactory(ended_at=A_MOMENT)
    waiting = MessageFactory(channel=channel)
    assert forget_old(at=A_MOMENT + 91 * DAY, kept=90 * DAY) == 1
    assert list(Message.objects.all()) == [waiting]
    assert announce(organization=None, at=minutes.at + MINUTE) == 0


@in_the_open
def test_two_workers_at_once_begin_and_tell_once():
    organization = OrganizationFactory()
    ChannelFactory(organization=organization)
    many = [item(f"d{n}.example") for n in range(10)]

    def look(at):
        return lambda: note(organization=organization, items=many, at=at)

    for step, expected in ((1, 0), (2, 1), (3, 1)):
        outcomes = at_once(*[look(A_MOMENT + step * MINUTE)] * 4)
        assert all(isinstance(each, Outcome) for each in outcomes), outcomes
        assert Message.objects.count() == expected
    assert sorted(Alert.objects.open().values_list("key", flat=True)) == sorted(each.key for each in many)
    at_once(*[lambda: note(organization=organization, items=[], at=A_MOMENT + 4 * MINUTE)] * 4)
    at_once(*[lambda: note(organization=organization, items=[], at=A_MOMENT + 10 * MINUTE)] * 4)
    assert list(Message.objects.order_by("pk").values_list("subject", flat=True)) == [
        "Alerts: 10 began",
        "Alerts: 10 ended",
    ]
    assert Notice.objects.count() == 20
