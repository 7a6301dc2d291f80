"""A real client takes what is sent: django-anymail's view of Postal's webhooks."""

import json
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import RequestFactory
from django.utils import timezone

from core.audit import Actor
from servers.webhooks import create_webhook
from stats.intake.ingest import Reporter, ingest
from tests.cast import Tenant
from tests.webhooks.receivers import Received
from webhooks.models import SigningKey
from webhooks.sending import run

postal = pytest.importorskip(
    "anymail.webhooks.postal", reason="django-anymail is in the group `test` of pyproject.toml"
)

pytestmark = [pytest.mark.server, pytest.mark.django_db]
KINDS = {
    "sent": "delivered",
    "deferred": "deferred",
    "bounced": "failed",
    "held": "queued",
    "late_bounce": "bounced",
}


@pytest.fixture
def deliver(acme: Tenant, receive: Any) -> Any:
    """Report an event of this kind, and return the request that the webhook was called with."""

    def deliver(kind: str) -> Received:
        receiver = receive()
        create_webhook(server=acme.server, name="Anymail", url=receiver.url, actor=Actor.system())
        event = {
            "id": "m-1",
            "type": kind,
            "at": timezone.now().isoformat(),
            "from": "news@acme.example",
            "to": "Reader@gmail.com",
            "reply": "451 4.7.1 later",
        }
        assert ingest([event], reporter=Reporter(acme.server), now=timezone.now()).accepted == 1
        assert run(clock=timezone.now, seconds=10).delivered == 1
        return receiver.got[0]

    return deliver


def post(got: Received, key: str, body: bytes | None = None) -> tuple[int, list[Any]]:
    """Give the request to anymail's view; return its answer's status, and the events that it announced."""
    announced: list[Any] = []

    def note(sender: object, event: Any, esp_name: str, **_: object) -> None:
        assert esp_name == "Postal"
        announced.append(event)

    postal.tracking.connect(note)
    try:
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in got.headers.items()}
        request = RequestFactory().post("/", got.body if body is None else body, "application/json", **headers)
        response = postal.PostalTrackingWebhookView.as_view(webhook_key=key)(request)
    finally:
        postal.tracking.disconnect(note)
    return response.status_code, announced


@pytest.mark.parametrize(("kind", "event_type"), KINDS.items())
def test_it_takes_every_kind_unchanged(deliver: Any, kind: str, event_type: str) -> None:
    got = deliver(kind)
    status, (event,) = post(got, SigningKey.objects.get().public_key)
    assert (status, event.event_type) == (200, event_type)
    assert (event.recipient, event.message_id) == ("Reader@gmail.com", "m-1")
    assert event.event_id == json.loads(got.body)["uuid"]
    assert event.mta_response == (None if kind == "late_bounce" else "451 4.7.1 later")


def test_it_refuses_a_body_that_was_changed(deliver: Any) -> None:
    got = deliver("sent")
    # Which Django answers with 400.
    with pytest.raises(SuspiciousOperation, match="incorrect signature"):
        post(got, SigningKey.objects.get().public_key, got.body.replace(b"Reader", b"Writer"))
