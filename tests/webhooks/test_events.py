"""Webhooks are told of exactly the accepted events, of their own server, that they are for; by rows of the same transaction."""

import datetime
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from servers.models import Server, Webhook
from servers.provisioning import change_server, delete_server
from servers.webhooks import change_webhook, create_webhook
from stats import send_limits
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.intake.ingest import Reporter, ingest
from stats.ledger import announcing
from stats.models import Batch, Event, ServerCount
from tests.stats.conftest import NOW, Tenant, make_tenant
from tests.stats.events import event
from webhooks.models import Delivery

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
PLATFORM = Reporter()
SYSTEM = Actor.system()
AT = 1773243000.0  # 2026-03-11T15:30:00Z


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1", "192.0.2.2")


@pytest.fixture
def globex(db: None) -> Tenant:
    return make_tenant("Globex", "198.51.100.1")


def hook(tenant: Tenant, *events: str, **more: Any) -> Webhook:
    values = {"name": "Hook", "url": "https://hook.example/in", "events": list(events), **more}
    return create_webhook(server=tenant.server, actor=SYSTEM, **values)


def told(webhook: Webhook | None = None) -> list[dict[str, Any]]:
    rows = Delivery.objects.order_by("pk")
    return [json.loads(each.body) for each in (rows if webhook is None else rows.filter(webhook=webhook))]


MESSAGE = {
    "id": "m-1",
    "token": None,
    "direction": "outgoing",
    "message_id": None,
    "to": "Bob@gmail.com",
    "from": "alice@acme.example",
    "subject": None,
    "timestamp": AT - 2.5,
    "spam_status": None,
    "tag": None,
}


def test_it_tells_what_the_event_knows_in_postals_shape(acme: Tenant) -> None:
    webhook = hook(acme)
    said = event(acme, id="m-1", to="<Bob@gmail.com>", reply="250 2.0.0 OK", seconds=2.5)
    assert ingest([said], reporter=PLATFORM, now=NOW).accepted == 1
    row = Delivery.objects.get()
    assert json.loads(row.body) == {
        "event": "MessageSent",
        "timestamp": NOW.timestamp(),
        "uuid": str(row.uuid),
        "payload": {
            "message": MESSAGE,
            "status": "Sent",
            "details": None,
            "output": "250 2.0.0 OK",
            "sent_with_ssl": None,
            "timestamp": AT,
            "time": None,
        },
    }
    assert (row.webhook, row.event, row.state, row.due_at, row.attempts) == (webhook, "MessageSent", "waiting", NOW, 0)
    assert row.until == NOW + datetime.timedelta(days=3)


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("sent", "MessageSent", "Sent"),
        ("deferred", "MessageDelayed", "SoftFail"),
        ("bounced", "MessageDeliveryFailed", "HardFail"),
        ("held", "MessageHeld", "Held"),
    ],
)
def test_each_kind_has_postals_name(acme: Tenant, kind: str, name: str, status: str) -> None:
    hook(acme)
    ingest([event(acme, type=kind)], reporter=PLATFORM, now=NOW)
    (document,) = told()
    assert (document["event"], document["payload"]["status"]) == (name, status)


def test_a_late_bounce_names_the_original_message_and_nothing_of_the_bounce(acme: Tenant) -> None:
    hook(acme)
    ingest([event(acme, id="m-1", type="late_bounce", to="Bob@gmail.com", seconds=2.5)], reporter=PLATFORM, now=NOW)
    (document,) = told()
    assert document["event"] == "MessageBounced"
    assert document["payload"] == {"original_message": MESSAGE, "bounce": dict.fromkeys(MESSAGE)}


@pytest.mark.parametrize("kind", ["incoming", "spam", "complaint"])
def test_kinds_that_postal_has_no_event_for_tell_nothing(acme: Tenant, kind: str) -> None:
    hook(acme)
    assert ingest([event(acme, type=kind)], reporter=PLATFORM, now=NOW).accepted == 1
    assert told() == []


def test_what_an_event_does_not_know_is_null(acme: Tenant) -> None:
    hook(acme)
    bare = event(acme, id="m-1", ip=None, to=None, **{"from": None})
    ingest([bare], reporter=PLATFORM, now=NOW)
    (document,) = told()
    assert document["payload"]["message"] == {**dict.fromkeys(MESSAGE), "id": "m-1", "direction": "outgoing"}
    assert document["payload"]["output"] is None


@pytest.mark.parametrize(
    "odd",
    [
        {"to": "no mailbox", "from": "neither"},
        {"to": 7, "from": ["x"]},
        {"to": "a@nowhere..example", "from": "@acme.example"},
    ],
)
def test_mailboxes_that_cannot_be_read_are_null(acme: Tenant, odd: dict[str, Any]) -> None:
    hook(acme)
    assert ingest([event(acme) | odd], reporter=PLATFORM, now=NOW).accepted == 1
    (document,) = told()
    assert (document["payload"]["message"]["to"], document["payload"]["message"]["from"]) == (None, None)


@pytest.mark.parametrize("reply", ["nul\0", "lone \ud800", 7, "x" * 5_000])
def test_any_reply_can_be_stored(acme: Tenant, reply: Any) -> None:
    hook(acme)
    assert ingest([event(acme, type="bounced", reply=reply)], reporter=PLATFORM, now=NOW).accepted == 1
    (document,) = told()
    assert document["payload"]["output"] == ("x" * 1_000 if isinstance(reply, str) and reply[0] == "x" else None)


def test_privacy_mode_leaves_out_the_recipient_and_the_reply(acme: Tenant) -> None:
    change_server(server=acme.server, privacy_mode=True, actor=SYSTEM)
    hook(acme)
    ingest([event(acme, type="bounced", reply="550 no bob@gmail.com here")], reporter=PLATFORM, now=NOW)
    assert "bob" not in Delivery.objects.get().body
    (document,) = told()
    assert document["payload"]["message"]["from"] == "alice@acme.example"
    assert (document["payload"]["message"]["to"], document["payload"]["output"]) == (None, None)


def test_only_accepted_events_are_told_and_each_once(acme: Tenant) -> None:
    hook(acme)
    first = [event(acme, id="1"), event(acme, id="2")]
    ingest(first, reporter=PLATFORM, now=NOW)
    again = [event(acme, id="2"), event(acme, id="3"), event(acme, id="3"), event(acme, id="4", type="?")]
    again += [event(acme, id="1", **{"from": "else@acme.example"}), event(id="5", server="unknown")]
    receipt = ingest(again, reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.duplicates, len(receipt.conflicts)) == (1, 2, 1)
    assert sorted(each["payload"]["message"]["id"] for each in told()) == ["1", "2", "3"]


def test_each_webhook_hears_of_its_own_server_and_of_the_events_that_it_is_for(acme: Tenant, globex: Tenant) -> None:
    everything, bounces = hook(acme), hook(acme, "MessageDeliveryFailed")
    disabled, other = hook(acme, enabled=False), hook(globex)
    events = [event(acme, id="s"), event(acme, id="b", type="bounced"), event(globex, id="g", ip="198.51.100.1")]
    assert ingest(events, reporter=PLATFORM, now=NOW).accepted == 3

    def ids(webhook: Webhook) -> list[str]:
        return sorted(each["payload"]["message"]["id"] for each in told(webhook))

    assert (ids(everything), ids(bounces), ids(disabled), ids(other)) == (["b", "s"], ["b"], [], ["g"])


def test_a_webhook_that_is_enabled_hears_of_the_next_batch(acme: Tenant) -> None:
    webhook = hook(acme, enabled=False)
    ingest([event(acme, id="1")], reporter=PLATFORM, now=NOW)
    change_webhook(webhook=webhook, enabled=True, actor=SYSTEM)
    ingest([event(acme, id="2")], reporter=PLATFORM, now=NOW)
    assert [each["payload"]["message"]["id"] for each in told()] == ["2"]


def test_a_deleted_servers_webhooks_hear_nothing(acme: Tenant) -> None:
    hook(acme)
    delete_server(server=Server.objects.get(pk=acme.server.pk), at=NOW, actor=SYSTEM)
    assert ingest([event(acme)], reporter=PLATFORM, now=NOW).accepted == 1
    assert told() == []


def test_events_and_deliveries_come_into_being_together(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(acme)

    def fail(*args: object, **named: object) -> int:
        raise RuntimeError("the transaction is gone")

    monkeypatch.setattr(announcing, "queue", fail)
    with pytest.raises(RuntimeError):
        ingest([event(acme)], reporter=PLATFORM, now=NOW)
    assert (Event.objects.count(), Batch.objects.count(), Delivery.objects.count()) == (0, 0, 0)


def test_a_batch_without_webhooks_makes_one_query_more_and_any_number_of_events_the_same(acme: Tenant) -> None:
    def queries(prefix: str, number: int) -> list[str]:
        events = [event(acme, id=f"{prefix}{each}") for each in range(number)]
        with CaptureQueriesContext(
            connection,
        ) as made:
            assert ingest(events, reporter=PLATFORM, now=NOW).accepted == number
        return [each["sql"] for each in made if "servers_webhook" in each["sql"] or "webhooks_" in each["sql"]]

    queries("warm", 1)
    assert len(queries("one", 1)) == len(queries("many", 200)) == 1
    hook(acme)
    assert len(queries("told", 1)) == len(queries("all told", 50)) == 2


# --- Send limits ------------------------------------------------------------------------------------------------------


def test_a_limit_that_is_approached_and_reached_is_told_once(acme: Tenant, globex: Tenant) -> None:
    webhook = hook(acme, "SendLimitExceeded", "SendLimitApproaching")
    hook(acme, "MessageHeld")
    hook(globex)
    change_server(server=acme.server, send_limit=10, actor=SYSTEM)
    hour = {"grain": Grain.HOUR, "bucket": buckets.hour_of(NOW), "server_id": acme.server.pk}
    count = ServerCount.objects.create(**hour, sent=8)

    def decide(sent: int) -> list[tuple[str, Any, Any]]:
        ServerCount.objects.filter(pk=count.pk).update(sent=sent)
        send_limits.decide(now=NOW)
        return [(each["event"], each["payload"]["volume"], each["payload"]["limit"]) for each in told(webhook)]

    approaching, exceeded = ("SendLimitApproaching", 9, 10), ("SendLimitExceeded", 12, 10)
    assert decide(8) == []
    assert decide(9) == [approaching]
    assert decide(9) == [approaching]
    assert decide(12) == [approaching, exceeded]
    assert decide(13) == [approaching, exceeded]
    assert Delivery.objects.exclude(webhook=webhook).count() == 0
    server = acme.server
    assert told(webhook)[0]["payload"]["server"] == {
        "uuid": str(server.uuid),
        "name": server.name,
        "permalink": server.permalink,
        "organization": acme.organization.permalink,
    }
