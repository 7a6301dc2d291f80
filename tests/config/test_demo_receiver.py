"""The demo's receiver of webhooks: it gets the product's own calls, and believes no other."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.demo.receiver import NAME, Receiver
from servers.models import Webhook
from suppressions.models import Suppression
from tests.factories import OrganizationFactory, ServerFactory
from tests.races import in_the_open
from webhooks import leases, signing
from webhooks.models import Delivery

pytestmark = [pytest.mark.storage, pytest.mark.server]


@pytest.fixture
def demo(settings: Any) -> Any:
    settings.IS_PRODUCTION, settings.SLUICE_WEBHOOK_NETWORKS = False, ["127.0.0.1/32"]
    return ServerFactory(name="Orders", organization=OrganizationFactory(permalink="northwind"))


@in_the_open
def test_it_shows_signed_deliveries_each_time(demo: Any) -> None:
    for times in (1, 2):
        said = StringIO()
        call_command("demo_receiver", stdout=said)
        lines = said.getvalue().splitlines()
        assert sorted(line.split()[0] for line in lines[:-1]) == [
            "MessageDelayed",
            "MessageDeliveryFailed",
            "MessageSent",
        ]
        assert all(" signed by " in line for line in lines[:-1])
        assert lines[-1].startswith("A receiver of webhooks got 3 deliveries of ")
        assert Delivery.objects.filter(state="delivered", status_code=204).count() == 3 * times
        assert Suppression.objects.filter(organization=demo.organization, reason="hard_bounce").count() == times
        # Its receiver is gone.
        assert list(Webhook.objects.values_list("name", "enabled")) == [(NAME, False)]


@pytest.mark.django_db
def test_it_refuses_where_it_may_not_call_or_has_no_demo(demo: Any, settings: Any) -> None:
    type(demo).objects.update(name="Another")
    with pytest.raises(CommandError, match="load_demo first"):
        call_command("demo_receiver")
    settings.SLUICE_WEBHOOK_NETWORKS = []
    with pytest.raises(CommandError, match="SLUICE_WEBHOOK_NETWORKS"):
        call_command("demo_receiver")
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        call_command("demo_receiver")


@pytest.mark.django_db
def test_a_call_that_another_signed_is_not_believed(demo: Any) -> None:
    now = timezone.now()
    by = signing.signer(at=now)
    body = json.dumps({"uuid": "1", "event": "MessageSent", "payload": {"message": {"to": "a@b.example"}}}).encode()
    with Receiver(signing.key_set(signing.published(at=now))) as receiver:
        assert receiver.read(body, by.headers(body)).is_signed
        assert not receiver.read(body + b" ", by.headers(body)).is_signed
        assert not receiver.read(body, {**by.headers(body), "X-Postal-Signature-KID": "mine"}).is_signed
        assert not receiver.read(body, {}).is_signed
    assert leases.take("host:127.0.0.1", "another", at=now)
