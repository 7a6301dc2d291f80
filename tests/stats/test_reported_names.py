"""By which names reporters of the platform named servers lately."""

import datetime
import io

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Server
from servers.provisioning import change_organization
from stats.counts import buckets, retention
from stats.intake import reported_names
from stats.intake.delivery import deliver
from stats.intake.directory import Directory, Reporter
from stats.intake.event_sources import make_source
from stats.intake.ingest import ingest
from stats.intake.reported_names import Use
from stats.models import ReportedName
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.events import event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

TOKEN = Reporter(name="ingest token collector")
DAY = datetime.timedelta(days=1)


def noted() -> list[tuple[str, str, str, int]]:
    today = buckets.day_of(NOW)
    rows = ReportedName.objects.values_list("reporter", "organization", "server", "last_day")
    return [(*names, day - today) for *names, day in rows]


def test_names_are_noted_by_reporter_and_day(acme: Tenant, globex: Tenant) -> None:
    events = [
        event(acme, id="1", server=acme.smtp_user),
        event(globex, id="2"),
        event(id="3", server="acme/other"),
        event(id="4", server="nobody/x"),
    ]
    ingest(events, reporter=TOKEN, now=NOW)
    ingest([event(globex, id="5", ip=None, server=globex.smtp_user)], reporter=TOKEN, now=NOW + DAY)
    own = Server.objects.select_related("organization").get(pk=acme.server.pk)
    ingest([event(acme, id="6", server=acme.smtp_user)], reporter=Reporter(own), now=NOW)
    assert noted() == [
        ("ingest token collector", "acme", "mailer", 0),
        ("ingest token collector", "globex", "mailer", 1),
    ]
    assert reported_names.uses_of("acme") == [Use("ingest token collector", 1, NOW.date())]


def test_sources_are_known_by_their_names(acme: Tenant) -> None:
    source = make_source(name="mail log", format="native", actor=ACTOR).source
    line = orjson.dumps(event(acme, server=acme.smtp_user))
    assert deliver(source, lambda: [io.BytesIO(line)], now=NOW).counts["accepted"] == 1
    assert noted() == [("event source mail log", "acme", "mailer", 0)]


def test_the_old_name_is_noted_while_it_is_understood(acme: Tenant) -> None:
    change_organization(organization=acme.organization, permalink="acme-inc", actor=ACTOR, at=NOW - DAY)
    ingest([event(acme, server="acme/mailer")], reporter=TOKEN, now=NOW)
    assert noted() == [("ingest token collector", "acme", "mailer", 0)]


def test_what_is_noted_costs_one_query(acme: Tenant) -> None:
    ingest([event(acme, id="1", server=acme.smtp_user)], reporter=TOKEN, now=NOW)
    directory = Directory(TOKEN, now=NOW)
    directory.find_servers([acme.smtp_user])
    with CaptureQueriesContext(connection) as asked:
        directory.note_names()
        directory.note_names()
    assert len(asked) == 1, asked.captured_queries


def test_it_is_forgotten_after_thirty_days(acme: Tenant) -> None:
    ingest([event(acme, server=acme.smtp_user)], reporter=TOKEN, now=NOW)
    retention.prune(now=NOW + 29 * DAY)
    assert len(noted()) == 1
    retention.prune(now=NOW + 30 * DAY)
    assert noted() == []
