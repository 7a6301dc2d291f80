"""Five years with one event a day: what the nightly audit costs where there are many partitions and little in them."""

import datetime
import itertools
import time
from collections.abc import Iterator

from stats.counts import audit, fold
from stats.ledger import storing
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, today

DAYS = 5 * 365 + 3
# As many distinct days as a batch may have.
A_BATCH = 40


def measure() -> Iterator[Ratio]:
    """Yield the seconds of storing, of folding, and of the audit, which has a goal."""
    platform = Platform()
    empty()
    now = datetime.datetime.now(datetime.UTC)
    rows = [row for day in range(today() - DAYS, today()) for row in platform.rows(day, 1, seed=day)]
    began = time.perf_counter()
    for batch in itertools.batched(rows, A_BATCH):
        storing.store(batch, now=now)
    yield Ratio(f"{DAYS:,} days of one event, stored, seconds", time.perf_counter() - began)
    began = time.perf_counter()
    assert fold.fold_all(now=now).events == DAYS
    yield Ratio(f"{DAYS:,} days of one event, folded, seconds", time.perf_counter() - began)
    began = time.perf_counter()
    found = audit.audit(now=now)
    yield Ratio(f"{DAYS:,} days of one event, audited, seconds", time.perf_counter() - began, 60.0, is_at_most=True)
    assert (found.is_clean, found.events) == (True, DAYS)
    empty()
