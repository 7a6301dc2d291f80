"""Deliveries on the pages of their server and webhook, and sending one again."""

import datetime

import pytest
from django.urls import reverse

from core.models import AuditEntry
from tests.factories import CircuitFactory, DeliveryFactory
from tests.panel.conftest import NOW, sign_in

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)


def again(delivery):
    return reverse("admin:webhooks_delivery_send_again", args=[delivery.pk])


def test_the_servers_page_shows_the_last_ones_with_what_came_of_them(acme, globex):
    done = {"state": "delivered", "due_at": None, "attempts": 1, "attempted_at": NOW}
    old = [DeliveryFactory(webhook=acme.webhook, **done, status_code=204) for _ in range(9)]
    failed = DeliveryFactory(
        webhook=acme.webhook, event="MessageBounced", attempts=3, attempted_at=NOW, error="The connection was refused"
    )
    page = sign_in(acme.operator).get(reverse("admin:servers_server_change", args=[acme.server.pk])).content.decode()
    assert page.count("Send again</a>") == 10
    for shown in (
        again(failed),
        again(old[0]),
        "The connection was refused",
        "MessageBounced",
        "204",
        "after 3 attempts",
    ):
        assert shown in page
    assert again(acme.delivery) not in page
    assert again(globex.delivery) not in page
    assert "Send again" not in (
        sign_in(acme.analyst).get(reverse("admin:servers_server_change", args=[acme.server.pk])).content.decode()
    )


def test_it_is_sent_again_by_who_may_change_its_webhook(acme, globex):
    delivery = DeliveryFactory(webhook=acme.webhook, state="failed", due_at=None)
    for person in (acme.analyst, globex.owner):
        assert sign_in(person).post(again(delivery)).status_code in (302, 403, 404)
        delivery.refresh_from_db()
        assert delivery.state == "failed"
    response = sign_in(acme.operator).post(again(delivery), {"_form_submitted": "on"})
    assert response.status_code == 302
    delivery.refresh_from_db()
    assert delivery.state == "waiting"
    entry = AuditEntry.objects.get(act="webhook.sent_again")
    assert (entry.actor_label, entry.target_id) == (acme.operator.username, str(acme.webhook.pk))
    assert "bob@example.com" not in str(entry.after)


def test_a_deliverys_page_shows_body_and_answer_as_text(acme):
    delivery = DeliveryFactory(
        webhook=acme.webhook, body='{"to":"<script>"}', status_code=500, answer="<b>no</b>", attempts=1
    )
    page = sign_in(acme.owner).get(reverse("admin:webhooks_delivery_change", args=[delivery.pk])).content.decode()
    assert "{&quot;to&quot;:&quot;&lt;script&gt;&quot;}" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page


def test_the_webhooks_page_says_that_it_is_held_back(acme):
    path = reverse("admin:servers_webhook_change", args=[acme.webhook.pk])
    client = sign_in(acme.owner)
    assert "held back" not in client.get(path).content.decode()
    CircuitFactory(webhook=acme.webhook, failures=12, opened_at=NOW, retry_at=NOW + DAY, dropped=1, dropped_at=NOW)
    page = client.get(path).content.decode()
    assert "after 12 failed attempts in a row" in page
    assert "1 delivery dropped" in page
