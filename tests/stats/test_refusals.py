"""Refused events are counted by day, reporter and reason, for a month."""

import datetime

import pytest

from stats.counts.retention import prune
from stats.intake import refusals
from stats.intake.reading import Remark
from stats.models import RefusalCount
from tests.stats.conftest import NOW

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
DAY = datetime.timedelta(days=1)


def refused(*codes):
    """Return remarks, and the events that they are about."""
    remarks = [Remark(position, code, f"{code}!") for position, code in enumerate(codes)]
    return remarks, [{"id": str(position), "to": "bob@gmail.com"} for position, _ in enumerate(codes)]


def test_it_works(acme, globex):
    refusals.note(*refused("unknown_ip", "invalid_at", "unknown_ip"), server_id=acme.server.pk, now=NOW)
    refusals.note(*refused("unknown_ip"), server_id=acme.server.pk, now=NOW - DAY)
    refusals.note(*refused("unknown_ip"), server_id=acme.server.pk, now=NOW - 2 * DAY)
    refusals.note(*refused("day_closed"), server_id=None, now=NOW)
    refusals.note([], [], server_id=globex.server.pk, now=NOW)
    own = refusals.Refused(acme.server.pk, "Mailer", 4, {"unknown_ip": 3, "invalid_at": 1})
    assert refusals.lately(None, NOW) == [own, refusals.Refused(None, None, 1, {"day_closed": 1})]
    assert refusals.lately([acme.server.pk], NOW) == [own]
    assert refusals.lately([globex.server.pk], NOW) == []
    assert refusals.lately([], NOW) == []


def test_they_are_kept_for_a_month(acme):
    for age in (0, refusals.DAYS_KEPT - 1, refusals.DAYS_KEPT):
        refusals.note(*refused("unknown_ip"), server_id=acme.server.pk, now=NOW - age * DAY)
    prune(now=NOW)
    assert RefusalCount.objects.count() == 2


def test_lines_say_since_when_and_show_the_latest(acme, globex):
    refusals.note(*refused("unknown_ip", "invalid_at", "unknown_ip"), server_id=acme.server.pk, now=NOW)
    refusals.note(*refused("unknown_ip"), server_id=acme.server.pk, now=NOW - 3 * DAY)
    refusals.note(*refused("unknown_ip"), server_id=acme.server.pk, now=NOW - 9 * DAY)
    refusals.note(*refused("day_closed", "day_closed"), server_id=None, now=NOW)
    today, before = NOW.date(), (NOW - 3 * DAY).date()
    of_acme = (acme.server.pk, "Mailer", "Acme")
    lines = [
        refusals.Line(*of_acme, "unknown_ip", 3, before, today, "unknown_ip!", '{"id":"2","to":"gmail.com"}'),
        refusals.Line(None, None, None, "day_closed", 2, today, today, "day_closed!", '{"id":"1","to":"gmail.com"}'),
        refusals.Line(*of_acme, "invalid_at", 1, today, today, "invalid_at!", '{"id":"1","to":"gmail.com"}'),
    ]
    assert refusals.lines(None, NOW, days=7, most=9) == (lines, 0)
    assert refusals.lines(None, NOW, days=7, most=1) == (lines[:1], 2)
    assert refusals.lines([acme.server.pk], NOW, days=1, most=9)[0][0] == refusals.Line(
        *of_acme, "unknown_ip", 2, today, today, "unknown_ip!", '{"id":"2","to":"gmail.com"}'
    )
    assert refusals.lines([globex.server.pk], NOW, days=30, most=9) == ([], 0)
