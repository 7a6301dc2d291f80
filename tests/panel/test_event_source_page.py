"""The page of an event source says whether it is silent, and when its last event was."""

import datetime
import io
import json
import re

import time_machine
from django.urls import reverse
from django.utils.html import strip_tags

from core.audit import Actor
from stats.intake import event_sources
from stats.intake.delivery import deliver
from tests.panel.conftest import NOW, sign_in


def test_a_sources_page_says_since_when_it_is_silent(acme, platform):
    source = event_sources.make_source(name="relay", format="native", actor=Actor.system()).source
    address = reverse("admin:stats_eventsource_change", args=[source.pk])

    def page(at):
        with time_machine.travel(at, tick=False):
            return sign_in(platform.superuser).get(address).content.decode()

    assert "It has not reported yet." in page(NOW)
    event = {"id": "1", "type": "sent", "at": (NOW - datetime.timedelta(minutes=5)).isoformat()}
    deliver(source, lambda: [io.BytesIO(json.dumps({**event, "server": str(acme.server.uuid)}).encode())], now=NOW)
    soon = page(NOW + datetime.timedelta(minutes=50))
    assert "None: it reported last on" in soon
    assert "300 s between event and arrival" in soon
    assert (NOW - datetime.timedelta(minutes=5)).isoformat(" ") not in soon
    assert "Silent since" in page(NOW + datetime.timedelta(minutes=70))
    event_sources.revoke_source(source=source, at=NOW, actor=Actor.system())
    assert "It reported last on" in page(NOW + datetime.timedelta(minutes=70))


def test_the_list_says_which_sources_report(acme, platform):
    sources = [
        event_sources.make_source(name=name, format="native", actor=Actor.system()).source
        for name in ("a new one", "b reports", "c silent", "d revoked")
    ]
    record = {"id": "1", "type": "sent", "at": NOW.isoformat(), "server": str(acme.server.uuid)}
    for source, minutes in ((sources[1], 0), (sources[2], 90)):
        at = NOW - datetime.timedelta(minutes=minutes)
        deliver(source, lambda: [io.BytesIO(json.dumps(record).encode())], now=at)
    event_sources.revoke_source(source=sources[3], at=NOW, actor=Actor.system())
    with time_machine.travel(NOW, tick=False):
        response = sign_in(platform.superuser).get(reverse("admin:stats_eventsource_changelist"))
    cells = re.findall(r'<td class="field-state_label .*?</td>', response.content.decode(), re.DOTALL)
    said = {
        each.name: strip_tags(cell).strip()
        for each, cell in zip(response.context["cl"].result_list, cells, strict=True)
    }
    assert {name: said[name] for name in sorted(said) if name != "mail log"} == {
        "a new one": "new",
        "b reports": "reporting",
        "c silent": "silent",
        "d revoked": "revoked",
    }
