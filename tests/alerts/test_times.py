"""Quiet hours and daily digests: what happens meanwhile is told later, once, and nothing of it is lost."""

import datetime

import pytest

from alerts.evaluating import Outcome, note
from alerts.models import Message, Notice
from tests.alerts.conftest import MINUTE, Minutes, item
from tests.alerts.factories import ChannelFactory
from tests.races import at_once, in_the_open

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
# Three hours after midnight in Amsterdam, in summer.
NIGHT = datetime.datetime(2026, 7, 1, 1, 0, tzinfo=datetime.UTC)
WARN = {"level": "warn", "condition": "back_off"}


def subjects():
    return list(Message.objects.order_by("pk").values_list("subject", flat=True))


def quiet(**more):
    return ChannelFactory(**({"time_zone": "Europe/Amsterdam", "quiet_from": 22, "quiet_until": 7} | more))


def test_what_begins_in_quiet_hours_is_one_message_when_they_are_over():
    quiet()
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example", **WARN), times=2)
    assert minutes.see(item("a.example", **WARN), item("b.example", **WARN), times=5) == Outcome()
    assert Notice.objects.filter(is_pending=True, what="began").count() == 2
    # At 6:59 it is still quiet, at 7:00 no longer.
    minutes.at = NIGHT + 4 * HOUR - 2 * MINUTE
    both = item("a.example", **WARN), item("b.example", **WARN)
    assert minutes.see(*both) == Outcome()
    assert minutes.see(*both) == Outcome(messages=1)
    assert minutes.see(*both, times=5) == Outcome()
    message = Message.objects.get()
    assert message.subject == "Alerts: 2 began"
    assert Notice.objects.filter(message=None).count() == 2
    assert not Notice.objects.filter(is_pending=True).exists()


def test_what_ended_in_the_night_too_is_told_once_as_ended():
    quiet()
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example", **WARN), times=2)
    assert minutes.see(times=10) == Outcome()
    minutes.at = NIGHT + 4 * HOUR
    assert minutes.see() == Outcome(messages=1)
    assert minutes.see(times=5) == Outcome()
    assert subjects() == ["Ended: a.example fails its DNS checks"]


def test_what_affects_mail_wakes_and_what_only_became_so_is_not_told_twice():
    quiet(name="wakes")
    quiet(name="sleeps", urgent_at_once=False)
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example", **WARN), times=2)
    assert minutes.see(item("a.example", level="bad", condition="back_off")) == Outcome(messages=1)
    assert minutes.see(times=6) == Outcome(ended=1, messages=1)
    minutes.at = NIGHT + 4 * HOUR
    assert minutes.see() == Outcome(messages=1)
    assert list(Message.objects.order_by("pk").values_list("channel__name", "subject")) == [
        ("wakes", "Worse: a.example fails its DNS checks"),
        ("wakes", "Ended: a.example fails its DNS checks"),
        ("sleeps", "Ended: a.example fails its DNS checks"),
    ]


def test_a_line_of_many_that_took_the_place_of_single_ones_in_the_night_is_told_alone():
    quiet()
    minutes = Minutes(at=NIGHT)
    group = item("51 addresses", is_group=True, url="/admin/ippools/ipaddress/", **WARN)
    minutes.see(item("a.example", **WARN), times=2)
    minutes.see(group, times=8)
    minutes.at = NIGHT + 4 * HOUR
    assert minutes.see(group) == Outcome(messages=1)
    assert subjects() == ["Alert: 51 addresses fails its DNS checks"]


@pytest.mark.parametrize(
    ("hours", "hour", "is_quiet"),
    [
        ((22, 7), 21, False),
        ((22, 7), 22, True),
        ((22, 7), 6, True),
        ((22, 7), 7, False),
        ((8, 12), 8, True),
        ((8, 12), 12, False),
    ],
)
def test_quiet_hours_are_of_the_zone_and_go_over_midnight(hours, hour, is_quiet):
    channel = ChannelFactory.build(time_zone="America/New_York", quiet_from=hours[0], quiet_until=hours[1])
    # In winter New York is five hours behind.
    at = datetime.datetime(2026, 1, 10, 5, 30, tzinfo=datetime.UTC) + hour * HOUR
    assert channel.is_quiet(at) is is_quiet
    assert not ChannelFactory.build().is_quiet(at)


def test_a_digest_is_one_message_a_day_of_what_began_ended_and_lasts():
    ChannelFactory(
        time_zone="Europe/Amsterdam", digest_at=8, urgent_at_once=False, digested_on=datetime.date(2026, 6, 30)
    )
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example"), item("b.example"), times=2)
    minutes.see(item("a.example"), times=10)
    assert subjects() == []
    minutes.at = NIGHT + 5 * HOUR - MINUTE
    assert minutes.see(item("a.example")) == Outcome(messages=1)
    assert minutes.see(item("a.example"), item("c.example"), times=5) == Outcome(began=0)
    minutes.at += DAY - 10 * MINUTE
    assert minutes.see(item("a.example"), item("c.example")) == Outcome()
    minutes.at += 10 * MINUTE
    assert minutes.see(item("a.example"), item("c.example")) == Outcome(messages=1)
    # Nothing to say is no message.
    minutes.see(times=6)
    minutes.at += DAY
    assert minutes.see() == Outcome(messages=1)
    minutes.at += DAY
    assert minutes.see() == Outcome()
    assert subjects() == ["Alerts: 1 began, 1 ended", "Alerts: 1 began, 1 last", "Alerts: 2 ended"]


def test_a_digest_that_was_missed_comes_once_and_a_new_channel_is_told_at_once():
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example", **WARN), times=2)
    ChannelFactory(digest_at=8)
    assert minutes.see(item("a.example", **WARN)) == Outcome(messages=1)
    minutes.at += 3 * DAY
    assert minutes.see(item("a.example", **WARN)) == Outcome(messages=1)
    assert minutes.see(item("a.example", **WARN)) == Outcome()
    assert subjects() == ["Alert: a.example fails its DNS checks", "Still: a.example fails its DNS checks"]


def test_an_urgent_alert_does_not_wait_for_the_digest():
    ChannelFactory(digest_at=8, digested_on=NIGHT.date())
    minutes = Minutes(at=NIGHT)
    minutes.see(item("a.example"), item("b.example", **WARN), times=2)
    assert subjects() == ["Alert: a.example fails its DNS checks"]


@in_the_open
@pytest.mark.parametrize(
    "times", [{"quiet_from": 22, "quiet_until": 7}, {"digest_at": 7, "digested_on": datetime.date(2026, 6, 30)}]
)
def test_two_workers_at_once_tell_once_what_waited(times):
    ChannelFactory(time_zone="Europe/Amsterdam", **times)
    minutes, many = Minutes(at=NIGHT), [item(f"d{n}.example", **WARN) for n in range(10)]
    minutes.see(*many, times=2)
    outcomes = at_once(*[lambda: note(organization=None, items=many, at=NIGHT + 4 * HOUR)] * 4)
    assert sorted(each.messages for each in outcomes) == [0, 0, 0, 1]
    assert subjects() == ["Alerts: 10 began"]
    assert not Notice.objects.filter(is_pending=True).exists()
