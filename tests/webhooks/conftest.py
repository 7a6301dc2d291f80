"""Webhooks of two tenants, and receivers on the loopback."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from servers.models import Server, Webhook
from tests.factories import DeliveryFactory, ServerFactory, WebhookFactory
from tests.webhooks.receivers import Answer, Receiver
from webhooks.models import Delivery
from webhooks.queueing import TRIED_FOR


@pytest.fixture
def loopback(settings: Any) -> None:
    settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def receive(loopback: None) -> Iterator[Callable[..., Receiver]]:
    """Open a receiver that is closed with the test."""
    receivers: list[Receiver] = []

    def open_one(answer: Answer | None = None, **more: Any) -> Receiver:
        receivers.append(Receiver(answer, **more))
        return receivers[-1]

    yield open_one
    for each in receivers:
        each.close()


def make_hook(url: str, server: Server | None = None, **more: Any) -> Webhook:
    return WebhookFactory(url=url, server=server or ServerFactory(), **more)


def make_deliveries(webhook: Webhook, number: int, at: datetime.datetime | None = None, **more: Any) -> list[Delivery]:
    at = at or timezone.now()
    rows = [
        DeliveryFactory.build(
            webhook=webhook, body=f'{{"number":{n}}}', created_at=at, due_at=at, until=at + TRIED_FOR, **more
        )
        for n in range(number)
    ]
    return Delivery.objects.bulk_create(rows, batch_size=100)
