"""Measures of addresses and pools over some days, from the counts: for conditions and the front page."""

import datetime
import statistics
from dataclasses import dataclass

from alerts import pool_load
from alerts.attention import LEAST_ATTEMPTS, AddressFacts, Load, known_addresses
from alerts.scope import Scope, pools_with_addresses
from ippools.models import IPPool
from stats.counts import buckets
from stats.reports import reputation
from stats.reports.reader import Counts
from stats.reports.reputation import NOTHING, Attempts

DAYS = pool_load.DAYS


@dataclass(frozen=True, slots=True)
class Measures:
    """The addresses with the lowest acceptance, what each provider said to them, and the loads of pools."""

    worst: list[int]
    # By address and provider id, of the worst.
    cells: dict[int, dict[int, Counts]]
    providers: dict[int, str]
    known: dict[int, AddressFacts]
    # The pools with the most messages per address first.
    loads: list[Load]
    # How many addresses have counts.
    addresses: int


def measure(scope: Scope, now: datetime.datetime, *, worst: int) -> Measures:
    """Return the measures of the last days, with up to so many of the worst addresses. Five queries at most."""
    today = buckets.day_of(now)
    first = today - DAYS + 1
    by_day = reputation.by_address_and_day(scope.address_ids, first, today)
    totals = {address: reputation.total(days.values()) for address, days in by_day.items()}
    found = _worst(totals, worst)
    cells, providers = reputation.by_address_and_named_provider(found, first, today)
    return Measures(
        worst=found,
        cells=cells,
        providers=providers,
        known=known_addresses(found),
        loads=_loads(scope, totals, by_day),
        addresses=len(totals),
    )


def _loads(scope: Scope, totals: dict[int, Attempts], by_day: reputation.ByDay) -> list[Load]:
    """Return the pools with the most messages per address first. An address in two pools counts in both."""
    pools = pools_with_addresses(IPPool.objects.all()) if scope.pools is None else scope.pools
    means = {pk: pool_load.per_address(pool.address_ids, by_day) for pk, pool in pools.items()}
    median = statistics.median([mean for mean in means.values() if mean] or [0.0])
    loads = [
        Load(
            pool_id=pk,
            name=pool.name,
            addresses=len(pool.address_ids),
            sent=sum(totals.get(each, NOTHING).sent for each in pool.address_ids),
            per_address=means[pk],
            times_median=means[pk] / median if median else 0.0,
        )
        for pk, pool in pools.items()
    ]
    return sorted(loads, key=lambda load: (-load.per_address, load.pool_id))


def _worst(totals: dict[int, Attempts], most: int) -> list[int]:
    """Return the addresses with the lowest acceptance, of those with enough attempts."""
    shares = {
        address: share
        for address, counts in totals.items()
        if (share := reputation.accepted_share(counts)) is not None
        and counts.sent + counts.deferred + counts.bounced >= LEAST_ATTEMPTS
    }
    return sorted(shares, key=lambda address: (shares[address], address))[:most]
