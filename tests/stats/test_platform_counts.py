"""The platform's counts are those of all its servers: after the migration that adds them up, and after folds beside it."""

from importlib import import_module

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from stats.counts import buckets
from stats.counts.audit import audit
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.ledger.database import ALIAS
from stats.models import PlatformCount, PlatformProviderCount
from stats.reports import recent
from stats.reports.reader import sum_of
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counted, random_events

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
migration = import_module("stats.migrations.0006_platform_counts_filled")


@pytest.fixture
def events(acme: Tenant, globex: Tenant) -> list[dict]:
    """Folded events of both, of days with gaps of more than a step between."""
    some = random_events([acme, globex], 200, seed=3, days_ago=(0, 1, 5, 40, 300))
    ingest(some, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    return some


def test_the_migration_adds_up_what_was_counted_before(events: list[dict]) -> None:
    PlatformCount.objects.all().delete()
    PlatformProviderCount.objects.all().delete()
    assert not audit(now=NOW).is_clean
    migration.fill(None, None)
    assert audit(now=NOW).is_clean
    assert_counted(events)


def test_the_migration_can_be_repeated_and_mends_what_was_folded_without_it(events: list[dict]) -> None:
    # As a worker of the release before leaves it, that folds while the migration runs.
    PlatformCount.objects.filter(grain=Grain.DAY, bucket=buckets.day_of(NOW)).update(sent=0)
    migration.fill(None, None)
    migration.fill(None, None)
    assert_counted(events)


def test_nothing_is_added_up_where_nothing_was_counted() -> None:
    migration.fill(None, None)
    assert not PlatformCount.objects.exists()
    assert not PlatformProviderCount.objects.exists()


def test_sums_of_all_servers_are_not_read_of_each(events: list[dict], acme: Tenant, globex: Tenant) -> None:
    with CaptureQueriesContext(connections[ALIAS]) as captured:
        days, hours = recent.of_servers(None, NOW, days=30, hours=48)
    assert ["stats_servercount" in each["sql"] for each in captured] == [False]
    ids = [acme.server.pk, globex.server.pk]
    assert (days, hours) == recent.of_servers(ids, NOW, days=30, hours=48)
    assert sum_of(point.counts for point in days).sent > 0
