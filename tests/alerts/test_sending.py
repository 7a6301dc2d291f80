"""Messages reach their channels: once, and after hours if need be."""

import base64
import datetime
import json
import socket

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from django.core.management import call_command
from django.utils import timezone

from alerts import sending
from alerts.models import Alert, Message
from core.encryption import encrypt
from tests.alerts.conftest import MINUTE, Minutes, item
from tests.alerts.factories import ChannelFactory, MessageFactory
from tests.clock import Clock
from tests.factories import A_MOMENT, OrganizationFactory
from tests.races import at_once, in_the_open
from tests.webhooks.receivers import Receiver, answers, never
from webhooks.calling import Outcome
from webhooks.models import SigningKey

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.django_db]


def run(at, seconds=30.0):
    return sending.run(clock=lambda: at, seconds=seconds)


def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def receiver(settings):
    settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with Receiver() as found:
        yield found


def hook(url, kind="webhook", **more):
    return ChannelFactory(kind=kind, sealed_target=encrypt(url), shown_target="hook", **more)


def test_an_e_mail_arrives(mail_server, settings):
    settings.SLUICE_PANEL_URL = "https://panel.example/"
    ChannelFactory(organization=(organization := OrganizationFactory(name="Northwind")))
    minutes = Minutes(organization)
    minutes.see(item("bücher.example"), times=2)
    assert run(minutes.at) == 1
    [(recipient, mail)] = mail_server.got
    message = Message.objects.get()
    assert (recipient, message.state, message.attempts, message.error) == ("ops@example.com", "sent", 1, "")
    assert mail["Message-ID"].strip("<>").partition("@")[0] == str(message.uuid)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_payload(decode=True).decode().replace("\r\n", "\n") == (
        "Alerts of Northwind, 2026-11-18 10:32 UTC\n\n"
        "Alert: bücher.example fails its DNS checks\nSPF missing\nSince 2026-11-18 10:31 UTC\n"
        "https://panel.example/admin/servers/domain/bücher.example/\n"
    )
    assert run(minutes.at + MINUTE) == 0
    assert len(mail_server.got) == 1


@pytest.mark.parametrize("way", ["connections are refused", "421 4.3.2 shutting down", "554 5.7.1 no service"])
def test_none_is_lost_and_none_comes_twice_when_mail_is_down_for_an_hour(way, mail_server, settings):
    for n in range(3):
        ChannelFactory(name=f"ops {n}", sealed_target=encrypt(f"ops{n}@example.com"))
    if way == "connections are refused":
        settings.EMAIL_PORT = closed_port()
    else:
        mail_server.refuses = way
    minutes = Minutes()
    minutes.see(item(), times=2)
    # An hour of runs, a minute apart, in which another alert begins and the first ends.
    for number in range(60):
        minutes.see(*([item()] if number < 20 else []), item("b.example"))
        assert run(minutes.at) == 0
    assert Message.objects.filter(state="waiting").exclude(error="").count() == 9
    settings.EMAIL_PORT, mail_server.refuses = mail_server.port, ""
    for _ in range(20):
        minutes.see(item("b.example"))
        run(minutes.at)
    assert sorted((to, mail["Subject"]) for to, mail in mail_server.got) == sorted(
        (f"ops{n}@example.com", subject)
        for n in range(3)
        for subject in (
            "Alert: a.example fails its DNS checks",
            "Alert: b.example fails its DNS checks",
            "Ended: a.example fails its DNS checks",
        )
    )
    assert set(Message.objects.values_list("state", flat=True)) == {"sent"}


def test_other_channels_do_not_wait_for_a_mail_server_that_is_down(mail_server, receiver):
    mail_server.refuses = "421 4.3.2 shutting down"
    for _ in range(5):
        ChannelFactory()
    hook(receiver.url)
    minutes = Minutes()
    minutes.see(item(), times=2)
    assert run(minutes.at) == 1
    assert (len(receiver.got), mail_server.greeted) == (1, 1)


def test_a_mailbox_that_is_refused_keeps_no_other_from_its_mail(mail_server):
    mail_server.unknown = {"gone@example.com"}
    ChannelFactory(name="gone", sealed_target=encrypt("gone@example.com"))
    ChannelFactory(name="ops")
    minutes = Minutes()
    minutes.see(item(), times=2)
    assert run(minutes.at) == 1
    refused = Message.objects.get(channel__name="gone")
    assert (refused.state, refused.due_at, refused.error) == (
        "waiting",
        minutes.at + MINUTE,
        "550 b'5.1.1 no such mailbox'",
    )


def test_a_webhook_gets_signed_json(receiver):
    organization = OrganizationFactory(permalink="northwind")
    hook(receiver.url, organization=organization)
    minutes = Minutes(organization)
    minutes.see(item(), times=2)
    assert run(minutes.at) == 1
    [request] = receiver.got
    alert, message = Alert.objects.get(), Message.objects.get()
    assert json.loads(request.body) == {
        "event": "alerts",
        "uuid": str(message.uuid),
        "timestamp": minutes.at.timestamp(),
        "organization": "northwind",
        "alerts": [
            {
                "what": "began",
                "id": alert.pk,
                "condition": "domain_dns",
                "title": "Domain fails its DNS checks",
                "severity": "bad",
                "text": "a.example fails its DNS checks",
                "detail": "SPF missing",
                "url": "/admin/servers/domain/a.example/",
                "since": "2026-11-18T10:31:15.250000+00:00",
                "until": None,
            }
        ],
    }
    headers = {name.lower(): value for name, value in request.headers.items()}
    key = serialization.load_der_public_key(base64.b64decode(SigningKey.objects.get().public_key))
    key.verify(base64.b64decode(headers["x-postal-signature-256"]), request.body, padding.PKCS1v15(), hashes.SHA256())


def test_slack_gets_a_text_with_its_signs_escaped(receiver):
    hook(receiver.url, kind="slack")
    minutes = Minutes()
    minutes.see(item("<!channel> & co"), times=2)
    assert run(minutes.at) == 1
    [request] = receiver.got
    assert json.loads(request.body) == {
        "text": "Alerts of the platform, 2026-11-18 10:32 UTC\n\nAlert: &lt;!channel&gt; &amp; co fails its DNS checks\n"
        "SPF missing\nSince 2026-11-18 10:31 UTC"
    }
    assert "x-postal-signature-256" not in {name.lower() for name in request.headers}


def test_a_private_address_is_not_called():
    with Receiver() as receiver:
        message = MessageFactory(channel=hook(receiver.url))
        assert run(A_MOMENT) == 0
        assert receiver.got == []
    message.refresh_from_db()
    assert (message.state, message.error) == ("waiting", "127.0.0.1 is not a public address")


def test_a_receiver_that_fails_is_tried_until_its_time_is_over(receiver):
    receiver.answer = answers("500 No")
    message = MessageFactory(channel=hook(receiver.url))
    assert message.until - A_MOMENT == datetime.timedelta(days=3)
    at, waits = A_MOMENT, []

    def attempt():
        nonlocal at
        run(at)
        message.refresh_from_db()
        if message.due_at is not None:
            waits.append((message.due_at - at) // MINUTE)
            at = message.due_at

    for _ in range(6):
        attempt()
    # It has failed for nearly three days.
    at = message.until - datetime.timedelta(minutes=40)
    type(message).objects.update(due_at=at)
    while message.due_at is not None:
        attempt()
    assert waits == [1, 2, 4, 8, 15, 15, 15, 15]
    assert (message.state, message.error) == ("failed", "The answer was 500")
    assert len(receiver.got) == message.attempts


def test_a_channel_that_hangs_has_one_attempt_a_run(receiver):
    receiver.answer = never
    dead = hook(receiver.url)
    for _ in range(3):
        MessageFactory(channel=dead)
    with Receiver() as alive:
        MessageFactory(channel=hook(alive.url))
        assert run(A_MOMENT) == 1
        assert (len(receiver.got), len(alive.got)) == (1, 1)


def test_a_disabled_channels_messages_wait_and_end(receiver):
    channel = hook(receiver.url, enabled=False)
    message = MessageFactory(channel=channel)
    assert run(A_MOMENT) == 0
    assert receiver.got == []
    run(message.until + MINUTE)
    message.refresh_from_db()
    assert message.state == "failed"


def test_one_whose_worker_was_killed_is_sent_by_another_later(receiver):
    MessageFactory(channel=hook(receiver.url))
    assert sending.claim(at=A_MOMENT, without=sending.Q(pk=None)) is not None
    assert run(A_MOMENT + MINUTE) == 0
    assert run(A_MOMENT + sending.LOST_AFTER) == 1


@in_the_open
def test_two_workers_at_once_send_each_message_once(receiver):
    for n in range(4):
        channel = hook(f"{receiver.url}/{n}")
        for _ in range(5):
            MessageFactory(channel=channel)
    assert sum(at_once(*[lambda: run(A_MOMENT)] * 2)) == 20
    uuids = Message.objects.filter(state="sent", attempts=1).count()
    assert (uuids, len(receiver.got)) == (20, 20)


def test_the_command_evaluates_and_sends(mail_server, capsys):
    now = timezone.now()
    MessageFactory(created_at=now, due_at=now, until=now + MINUTE)
    call_command("evaluate_alerts", "--json")
    assert json.loads(capsys.readouterr().out) == {"began": 0, "ended": 0, "messages": 0, "sent": 1, "open": 0}
    assert len(mail_server.got) == 1


def test_receivers_of_one_organization_that_answer_late_or_never_hold_up_no_other(receiver, monkeypatch):
    """Twenty channels, each with a message a minute: more seconds than there are."""
    acme, globex = OrganizationFactory(name="Acme"), OrganizationFactory(name="Globex")
    for number in range(20):
        MessageFactory(channel=hook(f"http://slow{number}.example/", organization=acme))
    MessageFactory(channel=hook(receiver.url, organization=globex))
    ask, clock = sending.call, Clock()
    late = []

    def answer(url, **more):
        if "slow" not in url:
            return ask(url, **more)
        clock.sleep(0.2)
        late.append(url)
        return Outcome(200 if len(late) % 2 else None)

    monkeypatch.setattr(sending, "call", answer)
    monkeypatch.setattr(sending, "time", clock)
    monkeypatch.setattr(sending, "SECONDS_OF_ONE", 0.3)

    run(A_MOMENT, seconds=2.0)
    assert len(receiver.got) == 1
    assert len(late) == 2

    # Their turn comes again, and what is new elsewhere is before it.
    MessageFactory(channel=hook(receiver.url, organization=globex, name="second"), due_at=A_MOMENT + MINUTE / 6)
    run(A_MOMENT + MINUTE / 2, seconds=0.1)
    assert len(receiver.got) == 2
    run(A_MOMENT + MINUTE, seconds=2.0)
    assert len(late) == 5
