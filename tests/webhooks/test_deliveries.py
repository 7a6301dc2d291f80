"""Sending again; what is dropped, given up and forgotten; DomainDNSError; the commands and the key set."""

import datetime
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from core.errors import Conflict, NotFound
from core.models import AuditEntry
from servers.models import Domain
from tests.cast import ANN, NOW, last_entry
from tests.factories import CircuitFactory, DeliveryFactory, DomainFactory, ServerFactory, WebhookFactory
from webhooks import deliveries, domain_errors
from webhooks.models import Circuit, Delivery, SigningKey
from webhooks.signing import published

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
DAY = datetime.timedelta(days=1)
DONE = {"state": "delivered", "due_at": None}


def test_one_is_sent_again_whatever_became_of_it() -> None:
    delivery = DeliveryFactory(state="failed", due_at=None, attempts=20, until=NOW - DAY)
    CircuitFactory(webhook=delivery.webhook, failures=30, opened_at=NOW, retry_at=NOW + DAY, dropped=7, dropped_at=NOW)
    deliveries.send_again(delivery=delivery, at=NOW, actor=ANN)
    row = Delivery.objects.get()
    assert (row.state, row.due_at, row.until, row.attempts) == ("waiting", NOW, NOW + 3 * DAY, 0)
    assert (row.uuid, row.body) == (delivery.uuid, delivery.body)
    circuit = Circuit.objects.get()
    assert (circuit.failures, circuit.opened_at, circuit.retry_at, circuit.dropped) == (0, None, None, 7)
    entry = last_entry()
    assert (entry.act, entry.actor_label, entry.organization_id) == (
        "webhook.sent_again",
        "ann",
        delivery.server.organization_id,
    )
    assert entry.after == {"delivery": str(row.uuid), "event": "MessageSent"}


def test_it_rejects_what_cannot_be_sent() -> None:
    disabled = DeliveryFactory(webhook=WebhookFactory(enabled=False))
    orphan = DeliveryFactory(webhook=WebhookFactory(server=ServerFactory(deleted_at=NOW)))
    gone = DeliveryFactory()
    Delivery.objects.filter(pk=gone.pk).delete()
    for delivery, refusal in ((disabled, Conflict), (orphan, Conflict), (gone, NotFound)):
        with pytest.raises(refusal):
            deliveries.send_again(delivery=delivery, at=NOW, actor=ANN)
    assert AuditEntry.objects.count() == 0


def test_the_oldest_of_too_many_are_dropped_and_counted(settings: Any) -> None:
    settings.SLUICE_WEBHOOK_BACKLOG = 3
    webhook = WebhookFactory()
    rows = [DeliveryFactory(webhook=webhook) for _ in range(5)]
    done, other = DeliveryFactory(webhook=webhook, **DONE), DeliveryFactory()
    assert deliveries.drop_excess(at=NOW) == 2
    assert set(Delivery.objects.values_list("pk", flat=True)) == {each.pk for each in (*rows[2:], done, other)}
    circuit = Circuit.objects.get()
    assert (circuit.pk, circuit.dropped, circuit.dropped_at) == (webhook.pk, 2, NOW)
    DeliveryFactory(webhook=webhook)
    assert deliveries.drop_excess(at=NOW + DAY) == 1
    assert (Circuit.objects.get().dropped, Circuit.objects.get().dropped_at) == (3, NOW + DAY)
    assert deliveries.drop_excess(at=NOW) == 0


def test_what_nobody_sends_is_given_up_after_its_time() -> None:
    over = DeliveryFactory(due_at=NOW - 4 * DAY, until=NOW - DAY)
    DeliveryFactory(until=NOW + DAY)
    assert deliveries.give_up(at=NOW) == 1
    over.refresh_from_db()
    assert (over.state, over.due_at, over.error) == ("failed", None, "It was not delivered in time")


def test_what_is_over_is_forgotten_after_its_keeping_and_the_mailbox_with_it(settings: Any) -> None:
    settings.SLUICE_WEBHOOK_RETENTION = 7
    DeliveryFactory(created_at=NOW - 8 * DAY, body='{"to":"bob@example.com"}', **DONE)
    kept = [DeliveryFactory(created_at=NOW - 6 * DAY, **DONE), DeliveryFactory(created_at=NOW - 8 * DAY, due_at=NOW)]
    assert deliveries.forget_old(at=NOW) == 1
    assert set(Delivery.objects.values_list("pk", flat=True)) == {each.pk for each in kept}


# --- DomainDNSError ---------------------------------------------------------------------------------------------------


def bodies() -> list[dict[str, Any]]:
    return [json.loads(each) for each in Delivery.objects.order_by("pk").values_list("body", flat=True)]


def check(domain: Domain, at: datetime.datetime, **statuses: str) -> int:
    """Let the domain have been checked, and look."""
    Domain.objects.filter(pk=domain.pk).update(dns_checked_at=at, **statuses)
    return domain_errors.announce(at=at)


def test_a_domain_is_told_of_when_it_ceases_to_be_well_and_when_that_changes() -> None:
    webhook = WebhookFactory(events=["DomainDNSError"])
    WebhookFactory(server=webhook.server, events=["MessageSent"])
    WebhookFactory()
    domain = DomainFactory(server=webhook.server, name="acme.example")
    well = {"spf_status": "ok", "dkim_status": "ok", "mx_status": "missing", "return_path_status": "ok"}
    assert domain_errors.announce(at=NOW) == 0
    assert check(domain, NOW, **well) == 0
    assert check(domain, NOW + DAY, spf_status="missing", spf_error="Publish it.") == 1
    assert check(domain, NOW + 2 * DAY) == 0
    assert domain_errors.announce(at=NOW + 2 * DAY) == 0
    assert check(domain, NOW + 3 * DAY, dkim_status="invalid") == 1
    assert check(domain, NOW + 4 * DAY, **well) == 0
    assert check(domain, NOW + 5 * DAY, mx_status="invalid") == 1
    first = bodies()[0]
    server = webhook.server
    assert first["event"] == "DomainDNSError"
    assert first["payload"] == {
        "domain": "acme.example",
        "uuid": str(domain.uuid),
        "dns_checked_at": (NOW + DAY).timestamp(),
        "spf_status": "Missing",
        "spf_error": "Publish it.",
        "dkim_status": "OK",
        "dkim_error": None,
        "mx_status": "Missing",
        "mx_error": None,
        "return_path_status": "OK",
        "return_path_error": None,
        "server": {
            "uuid": str(server.uuid),
            "name": server.name,
            "permalink": server.permalink,
            "organization": server.organization.permalink,
        },
    }
    assert set(Delivery.objects.values_list("webhook", flat=True)) == {webhook.pk}


# --- Commands, and the key set ----------------------------------------------------------------------------------------


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> Any:
    call_command(*arguments)
    return json.loads(capsys.readouterr().out)


def test_the_key_set_is_public_and_may_be_held() -> None:
    response = Client().get("/.well-known/jwks.json")
    (key,) = response.json()["keys"]
    assert set(key) == {"kty", "n", "e", "use", "alg", "kid"}
    assert key["kid"] == SigningKey.objects.get().kid
    assert response["Cache-Control"] == "public, max-age=3600"
    assert Client().post("/.well-known/jwks.json").status_code == 405


def test_the_key_command_shows_and_rotates(capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = run("webhook_key", "show", "--json", capsys=capsys)["keys"]
    assert first["is_signing"]
    old, new = run("webhook_key", "rotate", "--json", capsys=capsys)["keys"]
    assert (old["kid"], old["is_signing"], new["is_signing"]) == (first["kid"], True, False)
    assert old["expires_at"] is not None
    assert AuditEntry.objects.filter(actor_label="webhook_key", act="signing_key.created").count() == 1
    assert len(published(at=SigningKey.objects.latest("pk").created_at)) == 2


def test_the_delivery_command_lists_and_sends_again(capsys: pytest.CaptureFixture[str]) -> None:
    delivery = DeliveryFactory(state="failed", due_at=None, status_code=500)
    DeliveryFactory()
    found = run(
        "webhook_deliveries",
        "list",
        "--server",
        str(delivery.server.uuid),
        "--state",
        "failed",
        "--json",
        capsys=capsys,
    )
    assert found == {
        "deliveries": [
            {
                "uuid": str(delivery.uuid),
                "webhook": str(delivery.webhook.uuid),
                "event": "MessageSent",
                "state": "failed",
                "attempts": 0,
                "status_code": 500,
                "error": "",
                "created_at": "2026-11-18T10:30:15.250000+00:00",
                "attempted_at": None,
                "due_at": None,
            }
        ]
    }
    (again,) = run("webhook_deliveries", "send_again", str(delivery.uuid), "--json", capsys=capsys)["deliveries"]
    assert (again["uuid"], again["state"]) == (str(delivery.uuid), "waiting")
    assert last_entry().actor_label == "webhook_deliveries"
    with pytest.raises(CommandError, match=r"^There is no delivery 00000000-"):
        call_command("webhook_deliveries", "send_again", "00000000-0000-0000-0000-000000000000")
