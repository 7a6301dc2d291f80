"""Send limits act on exact counts: marks begin at 90 % and at the limit, end with the period, and nodes defer the mail."""

import datetime

import pytest

from core.audit import Actor
from core.models import AuditEntry
from nodes.policy.read import read_overlay
from servers import send_limits
from servers.models import SendLimitMark, Server
from servers.provisioning import change_server
from servers.send_limits import Level, Usage
from stats import send_limits as counted
from stats.counts import fold
from stats.intake.ingest import Reporter, ingest
from stats.send_limits import Decided, decide
from tests.stats.conftest import NOW, Tenant

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

SYSTEM = Actor.system()
HOUR = datetime.timedelta(hours=1)
START = NOW.replace(minute=0, second=0, microsecond=0)


def send(tenant: Tenant, number: int, *, at: datetime.datetime, kind: str = "sent", first: int = 0) -> None:
    """Report messages, twice, and count them."""
    events = [
        {
            "id": f"{at.isoformat()}-{each}",
            "type": kind,
            "at": at.isoformat(),
            "server": str(tenant.server.uuid),
            "to": "x@a.com",
        }
        for each in range(first, first + number)
    ]
    for _ in range(2):
        ingest(events, reporter=Reporter(), now=at)
    fold.fold_all(now=at)


def limit(tenant: Tenant, **limits: int | None) -> None:
    change_server(server=tenant.server, actor=SYSTEM, **limits)


def shown() -> list[tuple]:
    return list(
        SendLimitMark.objects.order_by("pk").values_list("period", "level", "limit", "sent", "until", "ended_at")
    )


def deferred(tenant: Tenant, at: datetime.datetime) -> list[tuple]:
    overlay = read_overlay(virtual_mtas=[], servers={tenant.server.pk: tenant.smtp_user}, at=at)
    return [(each.tenant, each.until, each.reason) for each in overlay.deferred]


def test_it_works(acme: Tenant, globex: Tenant) -> None:
    at, end = START + HOUR / 4, START + HOUR
    limit(acme, send_limit=10)
    limit(globex, send_limit=10)
    send(acme, 8, at=at)
    send(acme, 50, at=at, kind="deferred", first=100)
    assert decide(now=at) == Decided(looked_at=2)
    send(acme, 1, at=at, first=8)
    assert decide(now=at) == Decided(looked_at=2, began=1)
    assert (shown(), deferred(acme, at)) == ([("hour", "approaching", 10, 9, end, None)], [])
    send(acme, 3, at=at, first=9)
    assert decide(now=at) == Decided(looked_at=2, began=1)
    # Deciding again changes nothing.
    assert decide(now=at) == Decided(looked_at=2)
    assert shown()[1:] == [("hour", "exceeded", 10, 12, end, None)]
    reason = f"This server has reached its send limit of 10 messages an hour; try again after {end:%H}:00 UTC"
    assert deferred(acme, at) == [(f"{acme.organization.permalink}/{acme.server.permalink}", end, reason)]
    assert deferred(globex, at) == []
    # Over with the hour, for nodes at once.
    assert deferred(acme, end) == []
    assert decide(now=end) == Decided(looked_at=2, ended=2)
    assert [row[-1] for row in shown()] == [end, end]
    # What webhooks are told: both began, and both have ended.
    assert [mark.level for mark in send_limits.since(at)] == ["approaching", "exceeded"]
    assert [mark.level for mark in send_limits.since(end)] == ["approaching", "exceeded"]
    assert send_limits.since(end + HOUR) == []
    entries = AuditEntry.objects.filter(act__startswith="server.send_limit").order_by("pk")
    assert [(each.act, each.target_id, each.organization_id) for each in entries] == [
        ("server.send_limit_approached", str(acme.server.pk), acme.organization.pk),
        ("server.send_limit_reached", str(acme.server.pk), acme.organization.pk),
    ]


def test_each_period_counts_for_itself_and_the_longest_defers(acme: Tenant) -> None:
    at = START + HOUR / 4
    limit(acme, send_limit=5, send_limit_a_day=6, send_limit_a_month=1000)
    send(acme, 5, at=at - HOUR)
    send(acme, 5, at=at)
    acme.server.refresh_from_db()
    used = counted.usage([acme.server], at)[acme.server.pk]
    assert [(each.period, each.sent, each.percent, each.level) for each in used] == [
        ("hour", 5, 100, Level.EXCEEDED),
        ("day", 10, 166, Level.EXCEEDED),
        ("month", 10, 1, None),
    ]
    decide(now=at)
    [(_, until, reason)] = deferred(acme, at)
    assert until == START.replace(hour=0) + datetime.timedelta(days=1)
    assert "6 messages a day; try again after 00:00 UTC on" in reason


def test_a_raised_limit_releases_the_mail_at_once(acme: Tenant) -> None:
    at = START + HOUR / 4
    limit(acme, send_limit=10)
    send(acme, 10, at=at)
    decide(now=at)
    limit(acme, send_limit=100)
    assert decide(now=at + HOUR / 6) == Decided(looked_at=1, ended=2)
    assert deferred(acme, at + HOUR / 6) == []
    assert AuditEntry.objects.filter(act="server.send_limit_released").count() == 1
    # And reached again in the same hour.
    send(acme, 90, at=at, first=10)
    assert decide(now=at + HOUR / 5) == Decided(looked_at=1, began=2)


def test_a_limit_of_zero_lets_nothing_leave_and_none_lets_all(acme: Tenant) -> None:
    limit(acme, send_limit=0)
    assert decide(now=NOW) == Decided(looked_at=1, began=1)
    assert [row[1] for row in shown()] == ["exceeded"]
    limit(acme, send_limit=None)
    assert decide(now=NOW + HOUR / 60) == Decided(ended=1)


def test_a_deleted_server_has_no_marks(acme: Tenant) -> None:
    limit(acme, send_limit=0)
    decide(now=NOW)
    Server.objects.filter(pk=acme.server.pk).update(deleted_at=NOW)
    assert list(send_limits.marked(at=NOW)) == []
    assert decide(now=NOW + HOUR / 60) == Decided(ended=1)


@pytest.mark.parametrize(
    ("sent", "of", "level"),
    [
        (0, 1, None),
        (8, 10, None),
        (9, 10, Level.APPROACHING),
        (10, 10, Level.EXCEEDED),
        (899, 1000, None),
        (0, 0, Level.EXCEEDED),
    ],
)
def test_the_warning_is_at_ninety_percent(sent: int, of: int, level: Level | None) -> None:
    assert Usage("hour", of, sent, NOW).level == level


@pytest.mark.parametrize(
    ("period", "at", "begins", "ends"),
    [
        ("hour", "2026-07-27T10:30:00Z", "2026-07-27T10:00:00Z", "2026-07-27T11:00:00Z"),
        ("day", "2026-07-27T23:59:59+02:00", "2026-07-27T00:00:00Z", "2026-07-28T00:00:00Z"),
        ("month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ],
)
def test_periods_are_of_utc(period: str, at: str, begins: str, ends: str) -> None:
    read = datetime.datetime.fromisoformat
    assert send_limits.period_bounds(period, read(at)) == (read(begins), read(ends))
