"""A model of sixteen PostgreSQL, each with the ledger of some of the servers: how full they get, and what they save.

A model, because nothing here runs side by side. *Reckoned* is how servers with shares of 1/rank^0.9 fall on sixteen shards.
*Measured*, one after the other on this machine, is what the product's own store and fold take for each shard's events in a
database of its own, and for all events in one; and what the reads that need several shards take. That sixteen machines would do
the sixteen parts at the same time is an assumption: network, coordinator and two-phase commits cost nothing in it.
"""

import datetime
import itertools
import random
import statistics
import time
from collections.abc import Iterator, Sequence

from django.db import connection

from core import memory
from stats.counts import fold
from stats.intake.ingest import MOST_EVENTS
from stats.ledger import storage, storing
from stats.ledger.row import SERVER, Row
from stats.models import AddressCount, ServerCount
from stats.reports import queries
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, today
from tests.benchmarks.year_data import Copies

SHARDS = 16
EVENTS = 800_000
# Draws of where servers fall, each as another platform with other ids.
DRAWS = 500
TURNS = 15


def measure() -> Iterator[Ratio]:
    """Yield what is reckoned, then what is measured, then what follows."""
    memory.collect_rarely()
    platform = Platform()
    empty()
    yield from _reckoned(platform)
    by_hash = {server.pk: _hashed(server.pk) for server in platform.servers}
    rows = list(platform.rows(today() - 1, EVENTS, seed=19))
    yield from _measured(platform, rows, by_hash)
    empty()


# --- Reckoned --------------------------------------------------------------------------------------------------------


def _reckoned(platform: Platform) -> Iterator[Ratio]:
    """How evenly servers of such shares fill shards: by a hash of their ids, as Citus does, and the largest placed first."""
    shares = _shares(platform)
    yield Ratio("reckoned: the largest server's share of the events, percent", 100 * shares[0])
    chance = random.Random(16)
    fullest = []
    for _ in range(DRAWS):
        loads = [0.0] * SHARDS
        for share in shares:
            loads[chance.randrange(SHARDS)] += share
        fullest.append(max(loads) * SHARDS)
    fullest.sort()
    yield Ratio(f"reckoned: the fullest of {SHARDS} by hash to the mean, median of {DRAWS}", statistics.median(fullest))
    yield Ratio("reckoned: the same, the worst of 100", fullest[int(DRAWS * 0.99)])
    placed = [0.0] * SHARDS
    for share in shares:
        placed[placed.index(min(placed))] += share
    yield Ratio("reckoned: the fullest to the mean, the largest servers placed first", max(placed) * SHARDS)
    yield Ratio("reckoned: so many times one PostgreSQL, by hash", SHARDS / statistics.median(fullest))
    yield Ratio("reckoned: so many times one PostgreSQL, placed", 1 / max(placed))


def _shares(platform: Platform) -> list[float]:
    weights = [0.0, *platform.weights]
    return [(after - before) / weights[-1] for before, after in itertools.pairwise(weights)]


def _hashed(server: int) -> int:
    return int(storage.fetch(f"SELECT mod(hashint8({server:d})::bigint + 2147483648, {SHARDS})")[0][0])


# --- Measured --------------------------------------------------------------------------------------------------------


def _measured(platform: Platform, rows: Sequence[Row], by_hash: dict[int, int]) -> Iterator[Ratio]:
    copies = Copies()
    parts: list[list[Row]] = [[] for _ in range(SHARDS)]
    for each in rows:
        parts[by_hash[each[SERVER]]].append(each)
    try:
        shards = [copies.make(f"shard{number}") for number in range(SHARDS)]
        one, apart = [0.0, 0.0], [[0.0, 0.0] for _ in shards]
        # A first, small turn of each: connections, plans and partitions.
        for database, part in zip([copies.itself, *shards], [rows, *parts], strict=True):
            with copies.at(database):
                _stored_and_folded(part[:500])
        # In alternation: a third of the one, then the shards.
        thirds = len(rows) // 3 + 1
        for first in range(500, len(rows), thirds):
            with copies.at(copies.itself):
                one = _added(one, _stored_and_folded(rows[first : first + thirds]))
            for number, (database, part) in enumerate(zip(shards, parts, strict=True)):
                some = len(part) // 3 + 1
                start = 500 + (first - 500) // thirds * some
                with copies.at(database):
                    apart[number] = _added(apart[number], _stored_and_folded(part[start : start + some]))
        yield from _costs(one, apart, parts)
        yield from _counted(copies, shards)
        yield from _reads(platform, copies, shards, by_hash)
    finally:
        copies.drop()


def _stored_and_folded(rows: Sequence[Row]) -> list[float]:
    now = datetime.datetime.now(datetime.UTC)
    began = time.perf_counter()
    for batch in itertools.batched(rows, MOST_EVENTS):
        storing.store(batch, now=now)
    middle = time.perf_counter()
    fold.fold_all(now=now)
    return [middle - began, time.perf_counter() - middle]


def _added(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _costs(one: list[float], apart: list[list[float]], parts: list[list[Row]]) -> Iterator[Ratio]:
    fullest = max(len(part) for part in parts)
    yield Ratio("measured: the fullest shard's events to the mean", fullest * SHARDS / EVENTS)
    for place, what in enumerate(("stored", "folded")):
        all_shards = sum(each[place] for each in apart)
        slowest = max(each[place] for each in apart)
        yield Ratio(f"measured: {EVENTS:,} events {what} in one database, seconds", one[place])
        yield Ratio(f"measured: the same {what} in {SHARDS}, one after the other, to that", all_shards / one[place])
        yield Ratio(f"measured: the slowest shard, {what}, seconds", slowest)
    whole, longest = sum(one), max(sum(each) for each in apart)
    yield Ratio(f"worked out: {SHARDS} machines to one, by hash: events/s", whole / longest)
    # As if each shard had a sixteenth of the events, at what an event costs on shards.
    even = sum(sum(each) for each in apart) / SHARDS
    yield Ratio(f"worked out: {SHARDS} machines to one, evenly filled: events/s", whole / even)


def _counted(copies: Copies, shards: Sequence[str]) -> Iterator[Ratio]:
    """Nothing is lost or counted twice, and how many rows the counts by address have."""
    table = ServerCount._meta.db_table
    sums = f"SELECT coalesce(sum(incoming + sent + deferred + bounced + held + spam), 0), count(*) FROM {table}"
    events, server_rows, address_rows = 0, 0, 0
    for database in shards:
        with copies.at(database):
            found = storage.fetch(f"{sums} WHERE grain = 6")[0]
            events, server_rows = events + found[0], server_rows + found[1]
            address_rows += AddressCount.objects.count()
    with copies.at(copies.itself):
        of_one = storage.fetch(f"{sums} WHERE grain = 6")[0]
        assert (events, server_rows) == tuple(of_one), (events, server_rows, of_one)
        yield Ratio(
            "measured: rows of counts by address on all shards, to those in one",
            address_rows / AddressCount.objects.count(),
        )


def _reads(platform: Platform, copies: Copies, shards: Sequence[str], by_hash: dict[int, int]) -> Iterator[Ratio]:
    """One server is read on its shard, an address on all: their sums have to be added."""
    server = platform.servers[0].pk
    addresses = [address.pk for address in platform.addresses]
    now = datetime.datetime.now(datetime.UTC)
    times: dict[str, list[float]] = {}

    def timed(name: str, databases: Sequence[str], *, of_server: bool) -> list[dict[int, int]]:
        found = []
        began = time.perf_counter()
        for database in databases:
            with copies.at(database):
                if of_server:
                    queries.detailed_stats(server, now)
                else:
                    found.append(queries.sent_by_address(addresses, None, now))
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return found

    for database in [copies.itself, *shards]:
        with copies.at(database), connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    for _ in range(TURNS):
        timed("a server's month, in one database", [copies.itself], of_server=True)
        timed("a server's month, on its shard", [shards[by_hash[server]]], of_server=True)
        (whole,) = timed("5,000 addresses, in one database", [copies.itself], of_server=False)
        found = timed("5,000 addresses, on 16 shards after each other", shards, of_server=False)
        assert all(whole[each] == sum(part[each] for part in found) for each in addresses)
        timed("5,000 addresses, on the fullest shard", [shards[by_hash[server]]], of_server=False)
    for name, each in times.items():
        yield Ratio(f"measured: {name}, milliseconds", statistics.median(each))
