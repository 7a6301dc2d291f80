"""Entries that were removed or have expired are kept for a while, and then deleted."""

import pytest

from suppressions.models import BounceCount, Suppression, SuppressionList
from suppressions.retention import delete_old
from tests.cast import Tenant
from tests.suppressions.conftest import DAY, NOW, remove, suppress, suppressed
from tests.suppressions.factories import BounceCountFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def test_it_works(acme: Tenant, globex: Tenant) -> None:
    suppress(acme, "kept@gmail.com", "removed@gmail.com", server=None)
    suppress(acme, "expired@gmail.com", expires_at=NOW + DAY)
    suppress(globex, "removed@gmail.com")
    remove(acme, "removed@gmail.com", server=None, at=NOW)
    remove(globex, "removed@gmail.com", at=NOW + 2 * DAY)
    assert delete_old(at=NOW + 29 * DAY) == 0
    assert delete_old(at=NOW + 30 * DAY) == 1
    assert delete_old(at=NOW + 31 * DAY) == 1
    states = dict.fromkeys(["number", "size", "forgotten"])
    lists = SuppressionList.objects.order_by("pk").values(*states)
    assert [*lists] == [{"number": 4, "size": 1, "forgotten": 4}, {"number": 2, "size": 1, "forgotten": 0}]
    assert suppressed(acme, "kept@gmail.com", at=NOW + 31 * DAY) == [True]
    assert Suppression.objects.count() == 2


def test_counts_of_bounces_that_came_to_nothing_go(db: None) -> None:
    BounceCountFactory(bounced_at=NOW)
    kept = BounceCountFactory(bounced_at=NOW + DAY)
    delete_old(at=NOW + 30 * DAY)
    assert [*BounceCount.objects.all()] == [kept]
