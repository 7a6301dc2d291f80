"""The page of refused events: by reporter and reason, each with its latest event."""

import datetime
import io
import json

import time_machine
from django.urls import reverse

from core.audit import Actor
from stats.intake import event_sources
from stats.intake.delivery import deliver
from stats.intake.directory import Reporter
from stats.intake.ingest import ingest
from tests.panel.conftest import NOW, sign_in

DAY = datetime.timedelta(days=1)
BAD = [{"id": str(number), "type": "exploded", "at": NOW.isoformat()} for number in range(3)]


def test_people_see_what_was_refused_to_their_servers(acme, globex, platform):
    ingest([*BAD, {"id": "x", "type": "sent"}], reporter=Reporter(acme.server), now=NOW)
    ingest(BAD, reporter=Reporter(), now=NOW - DAY)
    ingest(BAD, reporter=Reporter(globex.server), now=NOW - 2 * DAY)
    root, analyst = sign_in(platform.superuser), sign_in(acme.analyst)
    refused = reverse("admin:refused")
    # Days of the clock, not of the events.
    with time_machine.travel(NOW, tick=False):
        lines = root.get(refused).context["lines"]
        assert [(line.server, line.code, line.number) for line in lines] == [
            (None, "unknown_type", 3), ("Acme server", "unknown_type", 3), ("Globex server", "unknown_type", 3),
            ("Acme server", "invalid_at", 1),
        ]  # fmt: skip
        assert json.loads(lines[0].sample) == BAD[2]
        assert [line.server for line in root.get(refused, {"server": globex.server.pk}).context["lines"]] == [
            "Globex server"
        ]
        assert b"Globex" not in analyst.get(refused).content
        assert b"Globex" not in analyst.get(refused, {"server": globex.server.pk}).content
        assert root.get(refused, {"server": "x", "days": "2"}).context["days"] == 2
        nothing = root.get(refused, {"server": globex.server.pk, "days": "2"}).content.decode()
        assert "No event was refused in the last 2 days" in nothing


def test_the_platform_sees_what_sources_were_refused(platform):
    source = event_sources.make_source(name="relay", format="native", actor=Actor.system()).source
    body = b"\n".join(json.dumps({**each, "to": "bob@gmail.com"}).encode() for each in BAD)
    deliver(source, lambda: [io.BytesIO(body)], now=NOW)
    with time_machine.travel(NOW, tick=False):
        response = sign_in(platform.superuser).get(reverse("admin:refused"))
    [line] = response.context["sources"]
    assert (line.source, line.code, line.number, line.first_day) == (source, "unknown_type", 3, NOW.date())
    assert json.loads(line.sample) == {**BAD[0], "to": "gmail.com"}
    assert "event source" in response.content.decode()
