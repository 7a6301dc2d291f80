"""Weekly reports: to whom, once, with which numbers, and how they are stopped."""

import datetime

import pytest
import time_machine

from alerts import reports, sending
from alerts.models import Message, Report, ReportOptOut
from core.audit import Actor
from core.errors import NotFound
from core.models import AuditEntry
from servers.models import Membership
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from tests.alerts.factories import AlertFactory, ChannelFactory
from tests.factories import DomainFactory, MembershipFactory, OrganizationFactory, ServerFactory, UserFactory
from tests.races import at_once, in_the_open

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.django_db]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
MONDAY = datetime.date(2026, 11, 16)
# Monday, 7 o'clock in Amsterdam.
DUE = datetime.datetime(2026, 11, 23, 6, 0, tzinfo=datetime.UTC)


def count(server, days_after_monday, **counts):
    bucket = buckets.day_number(MONDAY) + days_after_monday
    ServerCount.objects.create(grain=Grain.DAY, bucket=bucket, server_id=server.pk, **counts)


def tenant(name="Northwind", **columns):
    organization = OrganizationFactory(name=name, time_zone="Europe/Amsterdam", **columns)
    server = ServerFactory(organization=organization, name=f"{name} news")
    count(server, 0, sent=1_200, deferred=30, bounced=20, complaint=3)
    return organization


def member(organization, name, role="owner", **columns):
    user = UserFactory(username=name, **({"email": f"{name}@example.com"} | columns))
    MembershipFactory(user=user, organization=organization, role=role)
    return user


def addressees():
    return sorted(Report.objects.values_list("user__username", "organization__name", "week_on"))


def test_it_is_written_once_for_each_of_the_people_when_their_monday_is_seven_hours_old():
    acme, globex = tenant("Acme"), tenant("Globex")
    for name, role in (("ann", "owner"), ("ben", "analyst")):
        member(acme, name, role)
    member(globex, "gus")
    member(globex, "gone", is_active=False)
    member(globex, "mute", email="")
    assert reports.write_due(at=DUE - HOUR / 60) == 0
    assert reports.write_due(at=DUE) == 3
    assert addressees() == [("ann", "Acme", MONDAY), ("ben", "Acme", MONDAY), ("gus", "Globex", MONDAY)]
    for later in (HOUR, DAY, 6 * DAY):
        assert reports.write_due(at=DUE + later) == 0
    bodies = {each.report.user.username: each.body for each in Message.objects.select_related("report__user")}
    assert all(
        ("Globex" in body) is (name == "gus") and ("Acme" in body) is (name != "gus") for name, body in bodies.items()
    )
    # Who comes later gets it too, and the next week has its own.
    member(acme, "cleo", "operator")
    assert reports.write_due(at=DUE + DAY) == 1
    assert reports.write_due(at=DUE + 7 * DAY) == 4


def test_a_week_is_not_reported_before_its_last_day_is_counted_where_monday_comes_first():
    member(tenant(), "ann")
    tenant_zone = {"time_zone": "Pacific/Auckland"}
    Membership.objects.get().organization.__class__.objects.update(**tenant_zone)
    # Monday, 8 o'clock in Auckland, is Sunday in UTC: the week before is due then.
    at = datetime.datetime(2026, 11, 22, 19, 0, tzinfo=datetime.UTC)
    assert reports.last_week(at) == MONDAY - 7 * DAY
    assert reports.write_due(at=datetime.datetime(2026, 11, 23, 1, 0, tzinfo=datetime.UTC)) == 1
    assert Report.objects.get().week_on == MONDAY


@pytest.mark.parametrize(
    ("zone", "due"),
    [
        ("America/Los_Angeles", "2026-11-23T15:00:00+00:00"),
        ("Pacific/Honolulu", "2026-11-23T17:00:00+00:00"),
        ("Asia/Kolkata", "2026-11-23T01:30:00+00:00"),
        # Where Monday comes first, the week in UTC ends later.
        ("Pacific/Chatham", "2026-11-23T01:00:00+00:00"),
    ],
)
def test_nobody_gets_the_monday_report_on_a_sunday(zone, due):
    organization = tenant()
    member(organization, "ann")
    type(organization).objects.update(time_zone=zone)
    due = datetime.datetime.fromisoformat(due)
    written = {at: reports.write_due(at=at) for at in (due - HOUR, due - HOUR / 60, due)}
    assert (list(written.values()), Report.objects.get().week_on) == ([0, 0, 1], MONDAY)


def test_an_organization_that_sent_nothing_gets_none():
    member(OrganizationFactory(), "ann")
    assert reports.write_due(at=DUE) == 0


def test_it_says_volume_rates_and_what_was_wrong(settings):
    settings.SLUICE_PANEL_URL = ""
    organization = tenant()
    news = organization.servers.get()
    orders = ServerFactory(organization=organization, name="Orders")
    count(orders, 6, sent=800, deferred=0, bounced=0)
    count(news, -1, sent=1_000, deferred=60, bounced=20)
    count(news, 7, sent=9_999)
    count(ServerFactory(), 0, sent=5_555)
    DomainFactory(server=orders, name="orders.example", spf_status="missing", verified_at=DUE)
    ChannelFactory(organization=organization)
    at = datetime.datetime(2026, 11, 17, 8, 30, tzinfo=datetime.UTC)
    AlertFactory(organization=organization, text="a.example fails", since=at, began_at=at, ended_at=at + DAY)
    AlertFactory(organization=organization, text="later", since=DUE, began_at=DUE)
    AlertFactory(
        organization=organization, text="before", since=at - 9 * DAY, began_at=at - 9 * DAY, ended_at=at - 2 * DAY
    )
    AlertFactory(organization=OrganizationFactory(), text="another's", since=at, began_at=at)
    member(organization, "ann", "operator")
    reports.write_due(at=DUE)
    message = Message.objects.get()
    assert message.subject == "Weekly report of Northwind: 2,000 messages sent"
    assert message.body == (
        "Weekly report of Northwind\n"
        "Monday, 16 November 2026 to Sunday, 22 November 2026, in UTC\n"
        "\n"
        "  Sent:               2,000  (+100 % on 1,000 of the week before)\n"
        "  Deferred:              30  (−50 % on 60 of the week before)\n"
        "  Bounced:               20  (+0 % on 20 of the week before)\n"
        "  Complaints:             3  (0.15 % of what was sent)\n"
        "  Accepted:          97.6 %  (the week before: 92.6 %)\n"
        "\n"
        "Servers\n"
        "  Northwind news: 1,200 sent, 96.0 % accepted, 0.25 % complaints\n"
        "  Orders: 800 sent, 100.0 % accepted, 0.00 % complaints\n"
        "\n"
        "What was wrong\n"
        "  17 Nov 08:30 to 18 Nov 08:30: a.example fails\n"
        "\n"
        "What is wrong now\n"
        "  Northwind’s 2 live servers have no IP pool\n"
        "  orders.example fails its DNS checks\n"
        "\n"
        "-- \n"
        "This is sent every Monday to the operators of Northwind. To get no more of them,"
        " “Your account” in the panel stops them.\n"
    )


# The link holds the second in which it was signed.
@time_machine.travel(DUE, tick=False)
def test_it_arrives_with_a_link_that_stops_it(mail_server, settings):
    settings.SLUICE_PANEL_URL = "https://panel.example/"
    organization = tenant()
    ann = member(organization, "ann")
    reports.write_due(at=DUE)
    assert sending.run(clock=lambda: DUE, seconds=30) == 1
    [(recipient, mail)] = mail_server.got
    link = reports.stop_url(ann.pk, organization.pk)
    assert recipient == "ann@example.com"
    assert link.startswith("https://panel.example/reports/stop/")
    assert "".join(mail["List-Unsubscribe"].split()) == f"<{link}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link in mail.get_payload(decode=True).decode()
    assert reports.of_token(link.rpartition("/")[2]) == (ann, organization)


def test_none_is_lost_while_mail_is_down(mail_server):
    mail_server.refuses = "421 4.3.2 shutting down"
    organization = tenant()
    for name in ("ann", "ben"):
        member(organization, name)
    reports.write_due(at=DUE)
    assert sending.run(clock=lambda: DUE, seconds=30) == 0
    assert mail_server.greeted == 1
    mail_server.refuses = ""
    assert sending.run(clock=lambda: DUE + HOUR, seconds=30) == 2


@pytest.mark.parametrize("how", ["stopped", "removed", "inactive"])
def test_one_that_is_no_longer_wanted_is_not_sent(how, mail_server):
    organization = tenant()
    ann = member(organization, "ann")
    reports.write_due(at=DUE)
    if how == "stopped":
        assert reports.stop_reports(user=ann, organization=organization, actor=Actor.of_user(ann))
    elif how == "removed":
        Membership.objects.all().delete()
    else:
        ann.is_active = False
        ann.save()
    assert sending.run(clock=lambda: DUE, seconds=30) == 0
    assert (Message.objects.get().state, mail_server.got) == ("failed", [])


def test_stopping_and_resuming_are_recorded_and_concern_one_organization():
    acme, globex = tenant("Acme"), tenant("Globex")
    ann = member(acme, "ann")
    MembershipFactory(user=ann, organization=globex, role="analyst")
    actor = Actor.of_user(ann)
    assert reports.stop_reports(user=ann, organization=acme, actor=actor)
    assert not reports.stop_reports(user=ann, organization=acme, actor=actor)
    assert [(each.organization.name, each.is_wanted) for each in reports.subscriptions(ann)] == [
        ("Acme", False),
        ("Globex", True),
    ]
    reports.write_due(at=DUE)
    assert addressees() == [("ann", "Globex", MONDAY)]
    assert reports.resume_reports(user=ann, organization=acme, actor=actor)
    assert not reports.resume_reports(user=ann, organization=acme, actor=actor)
    acts = AuditEntry.objects.filter(organization_id=acme.pk).order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["reports.stopped", "reports.resumed"]
    for act in (reports.stop_reports, reports.resume_reports):
        with pytest.raises(NotFound):
            act(user=ann, organization=OrganizationFactory(), actor=actor)
    assert not ReportOptOut.objects.exists()


def test_a_failing_report_keeps_no_other_from_its_people(monkeypatch):
    acme, globex = tenant("Acme"), tenant("Globex")
    member(acme, "ann")
    member(globex, "gus")
    real = reports.report_text.of_week

    def broken(organization, *more):
        if organization == acme:
            raise ValueError("broken")
        return real(organization, *more)

    monkeypatch.setattr(reports.report_text, "of_week", broken)
    assert reports.write_due(at=DUE) == 1
    assert addressees() == [("gus", "Globex", MONDAY)]


def test_old_ones_are_forgotten():
    member(tenant(), "ann")
    reports.write_due(at=DUE)
    assert reports.forget_old(at=DUE + 90 * DAY, kept=90 * DAY) == 0
    assert reports.forget_old(at=DUE + 100 * DAY, kept=90 * DAY) == 1
    assert not Message.objects.exists()


@in_the_open
def test_two_workers_at_once_write_each_once():
    organization = tenant()
    for number in range(5):
        member(organization, f"user{number}")
    assert sum(at_once(*[lambda: reports.write_due(at=DUE)] * 4)) == 5
    assert (Report.objects.count(), Message.objects.count()) == (5, 5)
