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
    return [Remark(position, code, "…") for position, code in enumerate(codes)]


def test_it_works(acme, globex):
    refusals.note(refused("unknown_ip", "invalid_at", "unknown_ip"), server_id=acme.server.pk, now=NOW)
    refusals.note(refused("unknown_ip"), server_id=acme.server.pk, now=NOW - DAY)
    refusals.note(refused("unknown_ip"), server_id=acme.server.pk, now=NOW - 2 * DAY)
    refusals.note(refused("day_closed"), server_id=None, now=NOW)
    refusals.note([], server_id=globex.server.pk, now=NOW)
    own = refusals.Refused(acme.server.pk, "Mailer", 4, {"unknown_ip": 3, "invalid_at": 1})
    assert refusals.lately(None, NOW) == [own, refusals.Refused(None, None, 1, {"day_closed": 1})]
    assert refusals.lately([acme.server.pk], NOW) == [own]
    assert refusals.lately([globex.server.pk], NOW) == []
    assert refusals.lately([], NOW) == []


def test_they_are_kept_for_a_month(acme):
    for age in (0, refusals.DAYS_KEPT - 1, refusals.DAYS_KEPT):
        refusals.note(refused("unknown_ip"), server_id=acme.server.pk, now=NOW - age * DAY)
    prune(now=NOW)
    assert RefusalCount.objects.count() == 2
