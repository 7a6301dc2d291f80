"""webhooks/list, webhooks/deliveries, webhooks/resend"""

import datetime
import uuid

import pytest

from api.postal import webhooks
from core.models import AuditEntry
from tests.api.postal.conftest import NOW, error, parameter_error, success
from tests.factories import CircuitFactory, DeliveryFactory, WebhookFactory
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db
SECOND = datetime.timedelta(seconds=1)
UNKNOWN_DELIVERY = error("InvalidDelivery", "The delivery could not be found with the provided UUID")


@pytest.fixture(autouse=True)
def requested(monkeypatch):
    """How often a worker was asked to look: it does not send here."""
    times = []
    monkeypatch.setattr(webhooks, "request_delivery", lambda: times.append(1))
    return times


@pytest.fixture
def hook(acme):
    return WebhookFactory(server=acme.server, name="Orders", events=["MessageSent"])


def shape(delivery, **changes):
    return {
        "uuid": str(delivery.uuid),
        "webhook": {"uuid": str(delivery.webhook.uuid), "name": delivery.webhook.name},
        "event": "MessageSent",
        "status": "Waiting",
        "created_at": "2026-11-18T10:30:15.250Z",
        "attempts": 0,
        "attempted_at": None,
        "next_attempt_at": "2026-11-18T10:30:15.250Z",
        "status_code": None,
        "answer": "",
        "error": "",
        **changes,
    }


@pytest.mark.storage
def test_webhooks_are_listed_with_how_they_answer(call, acme, globex, hook):
    WebhookFactory(server=globex.server, name="Theirs")
    other = WebhookFactory(server=acme.server, name="Failing", enabled=False, sign=False)
    CircuitFactory(webhook=other, failures=12, opened_at=NOW, retry_at=NOW + SECOND, dropped=3, dropped_at=NOW)
    well = {
        "uuid": str(hook.uuid),
        "name": "Orders",
        "url": "https://hooks.example/",
        "events": ["MessageSent"],
        "enabled": True,
        "sign": True,
        "consecutive_failures": 0,
        "held_back_since": None,
        "dropped_deliveries": 0,
    }
    failing = {
        **well,
        "uuid": str(other.uuid),
        "name": "Failing",
        "events": [],
        "enabled": False,
        "sign": False,
        "consecutive_failures": 12,
        "held_back_since": "2026-11-18T10:30:15.250Z",
        "dropped_deliveries": 3,
    }
    assert call("webhooks/list", key=acme.key) == success({"webhooks": [well, failing]})


@pytest.mark.storage
def test_deliveries_are_listed_newest_first(call, acme, globex, hook):
    DeliveryFactory(webhook=WebhookFactory(server=globex.server))
    first = DeliveryFactory(webhook=hook)
    done = {"state": "delivered", "due_at": None, "attempts": 2, "attempted_at": NOW}
    second = DeliveryFactory(webhook=hook, **done, status_code=200, answer="ok")
    assert call("webhooks/deliveries", key=acme.key) == success(
        {
            "deliveries": [
                shape(
                    second,
                    status="Delivered",
                    attempts=2,
                    attempted_at="2026-11-18T10:30:15.250Z",
                    next_attempt_at=None,
                    status_code=200,
                    answer="ok",
                ),
                shape(first),
            ]
        }
    )


def test_deliveries_are_narrowed_and_read_on(call, acme, hook):
    rows = [DeliveryFactory(webhook=hook) for _ in range(5)]
    other = DeliveryFactory(webhook=WebhookFactory(server=acme.server), state="failed", due_at=None)

    def uuids(**given):
        return [each["uuid"] for each in call("webhooks/deliveries", given, key=acme.key)["data"]["deliveries"]]

    mine = [str(each.uuid) for each in reversed(rows)]
    assert uuids(webhook_id=str(hook.uuid)) == mine
    assert uuids(status="Failed") == [str(other.uuid)]
    assert uuids(limit=3) == [str(other.uuid), *mine[:2]]
    assert uuids(limit=3, before=mine[1]) == mine[2:]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": 101}, "limit must be from 1 to 100"),
        ({"status": "Gone"}, "status must be one of Waiting, Delivered, Failed"),
    ],
)
def test_it_rejects_what_it_does_not_know(call, acme, given, message):
    assert call("webhooks/deliveries", given, key=acme.key) == parameter_error(message)


@pytest.mark.parametrize("number", [1, 30])
def test_lists_take_a_constant_number_of_queries(call, acme, hook, number, django_assert_num_queries):
    for _ in range(number):
        DeliveryFactory(webhook=hook)
    call("webhooks/list", key=acme.key)
    # 1. the key; 2. the rows with their webhooks.
    with django_assert_num_queries(2):
        call("webhooks/deliveries", {"limit": 30}, key=acme.key)
    with django_assert_num_queries(2):
        call("webhooks/list", key=acme.key)


@pytest.mark.storage
def test_one_is_sent_again(call, acme, hook, requested):
    delivery = DeliveryFactory(webhook=hook, state="failed", due_at=None, attempts=19, status_code=500)
    answer = call("webhooks/resend", {"delivery_id": str(delivery.uuid)}, key=acme.key)
    assert answer == success({"delivery": shape(delivery, status_code=500)})
    assert requested == [1]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.due_at, delivery.until) == ("waiting", NOW, NOW + datetime.timedelta(days=3))
    entry = AuditEntry.objects.get(act="webhook.sent_again")
    assert (entry.after, entry.organization_id) == (
        {"delivery": str(delivery.uuid), "event": "MessageSent"},
        acme.organization.pk,
    )


@pytest.mark.storage
def test_another_tenants_are_as_if_they_did_not_exist(call, acme, globex):
    theirs = DeliveryFactory(webhook=WebhookFactory(server=globex.server), state="failed", due_at=None)
    for unknown in (str(theirs.uuid), str(uuid.uuid4())):
        assert call("webhooks/resend", {"delivery_id": unknown}, key=acme.key) == UNKNOWN_DELIVERY
        assert call("webhooks/deliveries", {"before": unknown}, key=acme.key) == UNKNOWN_DELIVERY
    assert call("webhooks/deliveries", {"webhook_id": str(theirs.webhook.uuid)}, key=acme.key) == error(
        "InvalidWebhook", "The webhook could not be found with the provided webhook_id"
    )
    assert call("webhooks/deliveries", key=acme.key) == success({"deliveries": []})
    assert call("webhooks/list", key=acme.key) == success({"webhooks": []})
    assert Delivery.objects.get().state == "failed"


def test_a_disabled_webhooks_is_not_sent_again(call, acme):
    delivery = DeliveryFactory(webhook=WebhookFactory(server=acme.server, enabled=False), state="failed", due_at=None)
    answer = call("webhooks/resend", {"delivery_id": str(delivery.uuid)}, key=acme.key)
    assert answer == error("Conflict", "The webhook is disabled")
