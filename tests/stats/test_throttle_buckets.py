"""Ten-second buckets of attempts: written with the events, once for each, whatever is sent again."""

import datetime
from typing import Any

import pytest

from stats.intake.ingest import Receipt, Reporter, ingest
from stats.ledger import throttle_buckets
from stats.models import ThrottleBucket
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event
from throttling.backoff import Bucket

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
# 15:30:20
NUMBER = int(NOW.timestamp()) // 10


def at(seconds: float) -> str:
    return (NOW + datetime.timedelta(seconds=seconds)).isoformat()


def attempts(acme: Tenant) -> list[dict[str, Any]]:
    return [
        event(acme, id="1", at=at(0)),
        event(acme, id="2", at=at(9.999), type="deferred"),
        event(acme, id="3", at=at(-0.001), type="bounced"),
        event(acme, id="4", at=at(1), type="incoming"),
        event(acme, id="5", at=at(1), ip=None),
        event(acme, id="6", at=at(1), to=None),
        event(acme, id="7", at=at(-3700)),
        event(acme, id="8", at=at(2), ip="192.0.2.2"),
    ]


def test_it_works(acme: Tenant) -> None:
    events = attempts(acme)
    assert ingest(events[:3], reporter=PLATFORM, now=NOW) == Receipt(accepted=3)
    # Some are repeated: those count once.
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=5, duplicates=3)
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(duplicates=8)
    one, two = (address.pk for address in acme.addresses)
    expected = {(one, 0): [Bucket(NUMBER - 1, 0, 0, 1), Bucket(NUMBER, 1, 1, 0)], (two, 0): [Bucket(NUMBER, 1, 0, 0)]}
    since = NOW - datetime.timedelta(hours=1)
    assert throttle_buckets.read(None, since) == expected
    assert throttle_buckets.read([two], since) == {(two, 0): expected[two, 0]}
    assert throttle_buckets.read([one], NOW) == {(one, 0): [Bucket(NUMBER, 1, 1, 0)]}
    throttle_buckets.prune(now=NOW + throttle_buckets.KEPT)
    assert throttle_buckets.read(None, since) == {(one, 0): [Bucket(NUMBER, 1, 1, 0)], (two, 0): expected[two, 0]}
    throttle_buckets.prune(now=NOW + 2 * throttle_buckets.KEPT)
    assert ThrottleBucket.objects.count() == 0
