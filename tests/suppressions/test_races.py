"""Workers that suppress the same address at the same moment."""

import pytest

from stats.intake.ingest import Reporter, ingest
from suppressions import rules
from suppressions.models import BounceCount, PlatformKey, Suppression, SuppressionList
from tests.cast import SYSTEM, Tenant, make_tenant
from tests.races import at_once, in_the_open
from tests.stats.events import event
from tests.suppressions.conftest import NOW, remove, suppress, suppressed

pytestmark = [in_the_open, pytest.mark.storage]


def bounces(tenant: Tenant, worker: int, number: int = 20) -> list[dict[str, object]]:
    """Bounces of addresses that all workers have, in an order of the worker's own."""
    found = [
        event(
            tenant,
            id=f"{worker}-{each}",
            type="bounced",
            ip=None,
            to=f"user{each}@gmail.com",
            reply="550 5.1.1 unknown",
        )
        for each in range(number)
    ]
    return found if worker % 2 else found[::-1]


def test_workers_that_ingest_bounces_of_the_same_addresses() -> None:
    acme, globex = make_tenant("Acme"), make_tenant("Globex")
    tenants = [(acme, globex), (globex, acme)]

    def work(worker: int) -> int:
        events = [each for tenant in tenants[worker % 2] for each in bounces(tenant, worker)]
        return ingest(events, reporter=Reporter(), now=NOW).accepted

    assert at_once(*(lambda worker=worker: work(worker) for worker in range(4))) == [40] * 4
    assert PlatformKey.objects.count() == 1
    for tenant in (acme, globex):
        rows = Suppression.objects.filter(organization=tenant.organization)
        assert rows.count() == 20
        assert sorted(rows.values_list("number", flat=True))[-1] <= tenant.organization.suppression_list.number
        assert SuppressionList.objects.get(organization=tenant.organization).size == 20
        assert suppressed(tenant, "user0@gmail.com", "user19@gmail.com", "user20@gmail.com") == [True, True, False]


def test_a_threshold_counts_the_bounces_of_all_workers() -> None:
    acme = make_tenant("Acme")
    rules.change_rules(organization=acme.organization, bounce_threshold=4, actor=SYSTEM)
    ingested = at_once(
        *(lambda w=w: ingest(bounces(acme, w, 5), reporter=Reporter(), now=NOW).accepted for w in range(4))
    )
    assert ingested == [5] * 4
    assert (Suppression.objects.count(), BounceCount.objects.count()) == (5, 0)


def test_people_that_add_and_remove_the_same_address() -> None:
    acme = make_tenant("Acme")
    added = at_once(*(lambda: suppress(acme, "roger@gmail.com") for _ in range(4)))
    assert sorted((each.added, each.present) for each in added) == [(0, 1), (0, 1), (0, 1), (1, 0)]
    assert sorted(at_once(*(lambda: remove(acme, "roger@gmail.com") for _ in range(4)))) == [0, 0, 0, 1]
    assert suppressed(acme, "roger@gmail.com") == [False]
