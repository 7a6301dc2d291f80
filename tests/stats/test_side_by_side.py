"""Several ingesters and folders at once, with batches that overlap: exact, and no deadlock."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from stats.counts import buckets
from stats.counts.audit import audit, rebuild
from stats.counts.fold import fold_all
from stats.intake.directory import Directory
from stats.intake.ingest import Receipt, Reporter, ingest
from stats.ledger import storage
from stats.models import Batch, Event, RollupRun, Sender
from tests.stats.conftest import NOW, Tenant, make_tenant
from tests.stats.events import assert_counted, event, random_events

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.django_db(transaction=True)]

PLATFORM = Reporter()


@pytest.fixture
def tenants(transactional_db: None) -> list[Tenant]:
    return [make_tenant("Acme", "192.0.2.1", "192.0.2.2"), make_tenant("Globex", "198.51.100.1")]


def run_together(*acts: Callable[[], None]) -> None:
    """Run each act in a thread with a connection of its own, all beginning at once; raise what any of them raised."""
    start = threading.Barrier(len(acts))
    failures: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        try:
            start.wait(20)
            act()
        except BaseException as failure:  # handed to the test's own thread
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "They wait for each other"
    if failures:
        raise failures[0]


@pytest.mark.parametrize("number", [2, 4])
def test_ingesters_and_folders_at_each_others_side(
    tenants: list[Tenant], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Little at once, so that there are many transactions to meet in.
    monkeypatch.setattr(storage, "fold_limit", lambda: 3)
    events = random_events(tenants, 1200, seed=number, days_ago=(0, 0, 0, 1, 2))
    batches = [events[start : start + 40] for start in range(0, len(events), 40)]
    receipts: list[Receipt] = []
    done = threading.Event()

    def report(which: int) -> None:
        """Deliver every batch, each ingester in an order of its own: so each event comes from all of them."""
        chance = random.Random(which)
        receipts.extend(
            ingest(chance.sample(batch, len(batch)), reporter=PLATFORM, now=NOW)
            for batch in chance.sample(batches, len(batches))
        )

    def fold() -> None:
        while not done.is_set():
            fold_all(now=NOW)

    def all_reports() -> None:
        try:
            run_together(*(lambda which=which: report(which) for which in range(number)))  # type: ignore[misc]
        finally:
            done.set()

    run_together(all_reports, *([fold] * number))
    fold_all(now=NOW, wait=True)
    assert sum(receipt.accepted for receipt in receipts) == 1200
    assert sum(receipt.duplicates for receipt in receipts) == 1200 * (number - 1)
    assert Event.objects.count() == 1200
    assert_counted(events)
    assert audit(now=NOW).is_clean


def test_a_batch_is_folded_by_one_of_many(tenants: list[Tenant]) -> None:
    events = random_events(tenants, 200, seed=11)
    ingest(events, reporter=PLATFORM, now=NOW)
    run_together(*([lambda: fold_all(now=NOW, wait=True)] * 4))  # type: ignore[list-item]
    assert RollupRun.objects.count() == 1
    assert_counted(events)


def test_folding_waits_for_what_another_is_at(tenants: list[Tenant]) -> None:
    """`roll_up_stats` returns only when everything is counted, also what another worker had claimed."""
    events = random_events(tenants, 300, seed=12)
    for start in range(0, 300, 30):
        ingest(events[start : start + 30], reporter=PLATFORM, now=NOW)

    def roll_up() -> None:
        fold_all(now=NOW, wait=True)
        assert not Batch.objects.filter(folded_at=None).exists()

    run_together(*([roll_up] * 3))
    assert_counted(events)


def test_a_rebuild_and_folds_do_not_disturb_each_other(tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "fold_limit", lambda: 2)
    events = random_events(tenants, 600, seed=13)
    for start in range(0, 600, 30):
        ingest(events[start : start + 30], reporter=PLATFORM, now=NOW)

    def fold() -> None:
        fold_all(now=NOW)

    def rebuild_all() -> None:
        for _ in range(3):
            assert rebuild(now=NOW) == 0

    run_together(fold, rebuild_all, fold)
    fold_all(now=NOW, wait=True)
    assert_counted(events)
    assert audit(now=NOW).is_clean


def test_an_audit_sees_one_moment_while_folds_go_on(tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "fold_limit", lambda: 1)
    events = random_events(tenants, 600, seed=14)
    for start in range(0, 600, 15):
        ingest(events[start : start + 15], reporter=PLATFORM, now=NOW)

    def check() -> None:
        for _ in range(5):
            found = audit([buckets.day_of(NOW)], now=NOW)
            assert found.is_clean, str(found)

    run_together(lambda: fold_all(now=NOW) and None, check)
    assert_counted(events)


def test_the_same_new_senders_by_several_at_once(tenants: list[Tenant]) -> None:
    def report(which: int) -> None:
        names = random.Random(which).sample(range(60), 60)
        sent: list[dict[str, Any]] = [
            event(tenants[0], id=f"{which} {name}", **{"from": f"{name}@acme.example"}) for name in names
        ]
        receipt = ingest(sent, reporter=PLATFORM, now=NOW, directory=Directory(PLATFORM, now=NOW))
        assert receipt == Receipt(accepted=60)

    run_together(*(lambda which=which: report(which) for which in range(4)))  # type: ignore[misc]
    assert Sender.objects.count() == 60
