"""Microsoft Teams and PagerDuty: what each receives over the wire."""

import json

import pytest

from alerts import channels
from alerts.models import Alert, Channel, Message
from core import alerts as set_aside
from core.audit import Actor
from core.encryption import encrypt
from tests.alerts.conftest import MINUTE, Minutes, item
from tests.alerts.factories import ChannelFactory
from tests.alerts.test_sending import run
from tests.factories import A_MOMENT, OrganizationFactory
from tests.races import at_once, in_the_open
from tests.webhooks.receivers import Receiver, answers

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.django_db]
ANN = Actor.system()
KEY = "R0UT1NGKEY" + "a" * 22


@pytest.fixture
def receiver(settings):
    settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    settings.SLUICE_PANEL_URL, settings.SLUICE_HOSTNAME_SUFFIX = "https://panel.example", "mail.example"
    with Receiver() as found:
        settings.SLUICE_PAGERDUTY_URL = found.url
        yield found


def bodies(receiver):
    return [json.loads(request.body) for request in receiver.got]


def text_of(block):
    [run] = block["inlines"]
    return run["text"]


def test_teams_gets_a_card_without_markup(receiver):
    ChannelFactory(kind="teams", sealed_target=encrypt(receiver.url))
    minutes = Minutes()
    minutes.see(item("[x](https://evil.example)"), item("b.example", level="warn"), times=2)
    assert run(minutes.at) == 1
    [body] = bodies(receiver)
    [attachment] = body["attachments"]
    content = attachment["content"]
    assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert {key: content[key] for key in ("type", "version", "actions")} == {
        "type": "AdaptiveCard",
        "version": "1.4",
        "actions": [{"type": "Action.OpenUrl", "title": "Open the panel", "url": "https://panel.example/admin/"}],
    }
    assert [(text_of(block), block["inlines"][0].get("color")) for block in content["body"]] == [
        ("Alerts: 2 began", None),
        ("Alerts of the platform, 2026-11-18 10:32 UTC", None),
        ("Alert: [x](https://evil.example) fails its DNS checks", "Attention"),
        ("SPF missing. Since 2026-11-18 10:31 UTC", None),
        ("Alert: b.example fails its DNS checks", "Warning"),
        ("SPF missing. Since 2026-11-18 10:31 UTC", None),
    ]
    # Markdown is only in text blocks.
    assert {block["type"] for block in content["body"]} == {"RichTextBlock"}


def test_a_card_of_many_alerts_stays_below_what_teams_takes(receiver):
    ChannelFactory(kind="teams", sealed_target=encrypt(receiver.url))
    minutes = Minutes()
    minutes.see(*(item(f"{'ü' * 200}{n}.example", detail="é" * 2_000) for n in range(60)), times=2)
    assert run(minutes.at) == 1
    [request] = receiver.got
    assert len(request.body) < 28 * 1024
    blocks = json.loads(request.body)["attachments"][0]["content"]["body"]
    shown = (len(blocks) - 3) // 2
    assert shown >= 10
    assert text_of(blocks[-1]) == f"And {60 - shown} more"


def test_an_incident_is_triggered_acknowledged_and_resolved(receiver):
    organization = OrganizationFactory(permalink="northwind")
    ChannelFactory(organization=organization, kind="pagerduty", sealed_target=encrypt(KEY))
    minutes = Minutes(organization)
    minutes.see(item("a.example"), item("b.example", level="warn", condition="back_off"), times=2)
    first, second = Alert.objects.order_by("pk")
    set_aside.set_aside(
        audience=first.audience,
        key=first.key,
        label=first.text,
        is_hidden=False,
        until=minutes.at + set_aside.LONGEST,
        at=minutes.at,
        actor=ANN,
    )
    minutes.see(item("a.example"), item("b.example", level="warn", condition="back_off"), times=3)
    minutes.see(item("a.example"), item("b.example", level="bad", condition="back_off"), times=2)
    minutes.see(times=6)
    # Nothing of the key is stored in clear.
    assert KEY not in json.dumps(list(Message.objects.values_list("subject", "body")))
    assert run(minutes.at) == 6
    key = {alert.pk: f"sluice:mail.example:alert:{alert.pk}" for alert in (first, second)}
    sent = bodies(receiver)
    assert [(each["routing_key"], each["event_action"], each["dedup_key"]) for each in sent] == [
        (KEY, "trigger", key[first.pk]),
        (KEY, "trigger", key[second.pk]),
        (KEY, "acknowledge", key[first.pk]),
        (KEY, "trigger", key[second.pk]),
        (KEY, "resolve", key[first.pk]),
        (KEY, "resolve", key[second.pk]),
    ]
    assert sent[0] == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": key[first.pk],
        "client": "Sluice",
        "client_url": f"https://panel.example{first.url}",
        "links": [{"href": f"https://panel.example{first.url}", "text": "The page that resolves it"}],
        "payload": {
            "summary": "a.example fails its DNS checks",
            "source": "northwind",
            "severity": "critical",
            "timestamp": "2026-11-18T10:31:15.250000+00:00",
            "component": "domain_dns",
            "class": "Domain fails its DNS checks",
            "custom_details": {"detail": "SPF missing"},
        },
    }
    assert [sent[place]["payload"]["severity"] for place in (1, 3)] == ["warning", "critical"]
    assert sent[4] == {"routing_key": KEY, "event_action": "resolve", "dedup_key": key[first.pk]}


def test_an_incident_is_never_resolved_before_it_is_triggered(receiver):
    receiver.answer = answers("503 Later")
    ChannelFactory(kind="pagerduty", sealed_target=encrypt(KEY))
    minutes = Minutes()
    minutes.see(item(), times=2)
    assert run(minutes.at) == 0
    minutes.see(times=6)
    # The second is new, and the first waits for its next attempt.
    Message.objects.filter(attempts=1).update(due_at=minutes.at + MINUTE)
    assert run(minutes.at) == 0
    receiver.answer = answers("202 Accepted")
    assert run(minutes.at + MINUTE) == 2
    assert [each["event_action"] for each in bodies(receiver)] == ["trigger", "trigger", "resolve"]


def test_an_event_that_pagerduty_refuses_keeps_no_other_from_it(receiver):
    receiver.answer = answers("400 Bad Request")
    ChannelFactory(kind="pagerduty", sealed_target=encrypt(KEY))
    minutes = Minutes()
    minutes.see(item("a.example"), times=2)
    run(minutes.at)
    refused = Message.objects.get()
    assert (refused.state, refused.error) == ("failed", "The answer was 400")
    receiver.answer = answers("202 Accepted")
    minutes.see(item("a.example"), item("b.example"), times=2)
    assert run(minutes.at) == 1


@pytest.mark.parametrize(
    ("kind", "target", "requests"),
    [("teams", None, 1), ("slack", None, 1), ("webhook", None, 1), ("pagerduty", KEY, 2)],
)
def test_each_kind_sends_a_test(kind, target, requests, receiver):
    channel = channels.create_channel(
        organization=None, kind=kind, name="Night shift", target=target or receiver.url, actor=ANN
    )
    channels.send_test(channel=channel, at=A_MOMENT, actor=ANN)
    assert run(A_MOMENT) == requests
    sent = bodies(receiver)
    if kind == "pagerduty":
        trigger, resolve = sent
        text = "This is a test of the alert channel Night shift of the platform."
        assert trigger["payload"] == {"summary": text, "source": "platform", "severity": "info"}
        assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
        assert trigger["dedup_key"] == resolve["dedup_key"]
    else:
        assert "test" in json.dumps(sent).lower()
    row = Channel.objects.filter(pk=channel.pk).values().get()
    assert KEY not in str(row)


@in_the_open
def test_two_workers_at_once_send_each_event_once_and_in_order(receiver):
    ChannelFactory(kind="pagerduty", sealed_target=encrypt(KEY))
    minutes = Minutes()
    many = [item(f"d{n}.example") for n in range(5)]
    minutes.see(*many, times=2)
    minutes.see(times=6)
    assert Message.objects.count() == 10
    # A worker that finds the other's event under way has nothing to send: its next run is later.
    while Message.objects.filter(state="waiting").exists():
        at_once(*[lambda: run(minutes.at)] * 2)
    sent = [(each["event_action"], each["dedup_key"]) for each in bodies(receiver)]
    assert len(sent) == len(set(sent)) == 10
    assert [action for action, _ in sent] == ["trigger"] * 5 + ["resolve"] * 5
