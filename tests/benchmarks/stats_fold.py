"""The fold: against the bare GROUP BYs of the same scopes and grains, at 1 and at 5 million events in one fold."""

import datetime
import statistics
import time
from collections.abc import Iterator, Sequence

from django.db import connection, transaction

from stats.counts import fold, tiers
from stats.counts.tiers import ADDRESSES, DOMAINS, SERVERS, Scope
from stats.ledger import storage
from stats.ledger.keys import least_key
from stats.models import Batch
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, store_day, today

SCOPES = (SERVERS, ADDRESSES, DOMAINS)
ROUNDS = 3


class RolledBack(Exception):
    """Leave the transaction without its work."""


def measure() -> Iterator[Ratio]:
    """Yield the ratios at both sizes. The day is over, so that no counts by minute are written."""
    platform = Platform()
    empty()
    for day, number, goal in ((today() - 2, 1_000_000, 3.0), (today() - 1, 5_000_000, 1.8)):
        store_day(platform, day, number, seed=day)
        batches = list(Batch.objects.filter(folded_at=None))
        yield from _compare(batches, day, number, goal)
        yield from _fine_scopes(batches)
        now = datetime.datetime.now(datetime.UTC)
        began = time.perf_counter()
        folded = fold.fold_all(now=now)
        yield Ratio(f"{number:,} events, all scopes and tiers, seconds", time.perf_counter() - began)
        assert folded.events == number
    empty()


def _compare(batches: Sequence[Batch], day: int, number: int, goal: float) -> Iterator[Ratio]:
    """One process on both sides: PostgreSQL gives a SELECT parallel workers, but never an INSERT. What they save is told."""
    of_day = storage.keys_between(least_key(day), least_key(day + 1))
    bare, parallel, folds = [], [], []
    for _ in range(ROUNDS):
        grouped = [tiers.group_events(scope, scope.finest, of_day) for scope in SCOPES]
        bare.append(sum(_time(sql)[0] for sql in grouped))
        folds.append(sum(_time(_fold(scope, batches))[0] for scope in SCOPES))
        parallel.append(sum(_time(sql, workers=2)[0] for sql in grouped))
    limit, fold = statistics.median(bare), statistics.median(folds)
    yield Ratio(f"{number:,} events, bare GROUP BYs of three scopes, seconds", limit)
    yield Ratio(f"{number:,} events, the same with two parallel workers, seconds", statistics.median(parallel))
    yield Ratio(f"{number:,} events, fold of the same into 10 tiers, seconds", fold)
    yield Ratio(f"{number:,} events, fold to bare GROUP BYs", fold / limit, goal, is_at_most=True)


def _fine_scopes(batches: Sequence[Batch]) -> Iterator[Ratio]:
    for scope in tiers.SCOPES[4:]:
        seconds, rows = _time(_fold(scope, batches))
        yield Ratio(f"{scope.name} scope: microseconds per row written ({rows:,} rows)", seconds / rows * 1e6)


def _fold(scope: Scope, batches: Sequence[Batch]) -> str:
    first_hour = fold.first_kept_hour(datetime.datetime.now(datetime.UTC))
    return tiers.fold_events(scope, *fold.select_of(batches), first_hour=first_hour)


def _time(sql: str, workers: int = 0) -> tuple[float, int]:
    """Run a statement as the fold does, and undo it; a SELECT's rows are made but not fetched."""
    seconds, rows = 0.0, 0
    try:
        with storage.aggregating(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = %s", [workers])
            began = time.perf_counter()
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {sql}" if sql.startswith("SELECT") else sql)
            seconds, rows = time.perf_counter() - began, cursor.rowcount
            raise RolledBack
    except RolledBack:
        pass
    assert not transaction.get_connection().in_atomic_block
    return seconds, rows
