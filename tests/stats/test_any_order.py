"""Any split of any events into batches, in any order, with any replays, gives the same counts as a plain recount."""

import datetime
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stats.counts import buckets
from stats.counts.audit import audit
from stats.counts.fold import fold_all
from stats.intake.ingest import Reporter, ingest
from stats.ledger.storing import ensure_days
from tests.examples import examples
from tests.stats.conftest import Tenant
from tests.stats.events import RECIPIENTS, SENDERS, assert_counted, event
from tests.stats.recount import KINDS, REASONS

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NOW = datetime.datetime(2026, 3, 1, 0, 30, tzinfo=datetime.UTC)
PLATFORM = Reporter()
# Both sides of the ends of a day, a month, a year and a leap day, and of the ends of minutes' and hours' keeping.
EDGES = [
    "2024-02-28T23:59:59.999Z",
    "2024-02-29T00:00:00Z",
    "2024-02-29T23:59:59.999Z",
    "2024-03-01T00:00:00Z",
    "2025-12-31T23:59:59.999Z",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:59:59.999Z",
    "2026-01-01T01:00:00Z",
    "2026-02-28T22:29:59.999Z",
    "2026-02-28T22:30:00Z",
    "2026-02-28T23:59:59.999Z",
    "2026-03-01T00:00:00Z",
    "2026-03-01T00:30:00Z",
    "2026-03-01T23:59:59.999Z",
    "2026-02-28T19:00:00-05:00",
    "2026-03-01T09:00:00.5+09:00",
    "2025-11-30T23:59:59Z",
    "2025-12-01T00:00:00Z",
]
# (number, moment, tenant): what makes an event. All else about it follows from that, so that a replay is the same.
identities = st.tuples(st.integers(0, 4), st.integers(0, len(EDGES) - 1), st.integers(0, 1))
# After an event: whether its batch ends there, and whether a fold follows.
deliveries = st.lists(st.tuples(identities, st.booleans(), st.booleans()), max_size=40)


def build(identity: tuple[int, int, int], tenants: list[Tenant]) -> dict[str, Any]:
    number, edge, which = identity
    tenant, choice = tenants[which], number * 7 + edge * 3 + which
    return event(
        tenant,
        id=f"event {number}",
        at=EDGES[edge],
        type=KINDS[choice % len(KINDS)],
        ip=[*(address.ipv4 for address in tenant.addresses), None][choice % (len(tenant.addresses) + 1)],
        to=RECIPIENTS[choice % len(RECIPIENTS)],
        reply=[*REASONS, None][choice % (len(REASONS) + 1)],
        seconds=[None, 0.4, 3, 900][choice % 4],
        **{"from": SENDERS[choice % len(SENDERS)]},
    )


@pytest.fixture(autouse=True)
def days_ready(db: None) -> None:
    """Make the partitions once, outside of what each example rolls back: they are most of its time."""
    ensure_days((buckets.day_of(datetime.datetime.fromisoformat(at)) for at in EDGES), now=NOW)


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(deliveries=deliveries)
def test_any_delivery_gives_the_counts_of_its_events(acme: Tenant, globex: Tenant, deliveries: list[Any]) -> None:
    events: list[dict[str, Any]] = []
    with transaction.atomic():
        batch: list[dict[str, Any]] = []
        for identity, batch_ends, fold_follows in deliveries:
            events.append(build(identity, [acme, globex]))
            batch.append(events[-1])
            if batch_ends:
                assert ingest(batch, reporter=PLATFORM, now=NOW).refused == []
                batch = []
            if fold_follows:
                fold_all(now=NOW)
        receipt = ingest(batch, reporter=PLATFORM, now=NOW)
        assert receipt.accepted + receipt.duplicates == len(batch)
        fold_all(now=NOW)
        assert_counted(events, now=NOW)
        days = {buckets.day_of(datetime.datetime.fromisoformat(each["at"])) for each in events}
        assert audit(days, now=NOW).is_clean
        transaction.set_rollback(True)
