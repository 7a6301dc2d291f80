"""Reading counts: 500 pools and 5,000 addresses, with 10 million folded messages against 500,000."""

import datetime
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from api.postal.ip_pools import IPPoolViewSet
from core.audit import Actor
from servers.credentials import create_credential
from stats.counts import fold
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, empty, store_day, today

ROUNDS = 9


@dataclass(frozen=True)
class Reading:
    """What one call of ip_pools?include_stats cost."""

    queries: int
    counter_rows: int
    seconds: float


def measure() -> Iterator[Ratio]:
    """Yield how the cost of a read grows with the messages: it must not."""
    platform = Platform()
    key = create_credential(server=platform.servers[0], kind="api", name="bench", actor=Actor.system()).key
    empty()
    readings: dict[int, dict[str, Reading]] = {}
    for day, number in ((today() - 1, 500_000), (today(), 9_500_000)):
        store_day(platform, day, number, seed=day)
        fold.fold_all(now=datetime.datetime.now(datetime.UTC))
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE stats_addresscount")
        readings[number] = {period: _read(key, period) for period in ("", "month")}
    few, many = readings.values()
    for period in few:
        name = f"ip_pools?include_stats, {period or 'all-time'}"
        yield Ratio(f"{name}: queries", many[period].queries)
        yield Ratio(f"{name}: milliseconds at 500,000 messages", few[period].seconds * 1000)
        yield Ratio(f"{name}: milliseconds at 10 million", many[period].seconds * 1000)
        yield Ratio(f"{name}: queries, 10 M to 500,000", many[period].queries / few[period].queries, 1, is_at_most=True)
        yield Ratio(f"{name}: counter rows read at 10 million", many[period].counter_rows)
        rows = many[period].counter_rows / few[period].counter_rows
        yield Ratio(f"{name}: counter rows read, 10 M to 500,000", rows, 1.05, is_at_most=True)
        growth = many[period].seconds / few[period].seconds
        yield Ratio(f"{name}: time, 10 M to 500,000", growth, 1.5, is_at_most=True)
    empty()


def _read(key: str, period: str) -> Reading:
    path = "/api/v1/servers/ip_pools?include_stats=true" + (f"&stats_period={period}" if period else "")
    view = IPPoolViewSet.as_view({"get": "list"})

    def call() -> None:
        response = view(RequestFactory().get(path, headers={"X-Server-API-Key": key}))
        assert b'"status":"success"' in response.render().content

    with CaptureQueriesContext(connection) as captured:
        call()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    (counting,) = [query["sql"] for query in captured if "stats_addresscount" in query["sql"]]
    return Reading(len(captured), _rows_read(counting), statistics.median(times))


def _rows_read(sql: str) -> int:
    """Return how many rows of counts the plan took from the table, over all its loops."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY OFF) " + sql)
        plan = [line for (line,) in cursor.fetchall()]
    read = 0
    for line in plan:
        if "stats_addresscount" in line and (found := re.search(r"actual rows=([\d.]+) loops=(\d+)", line)):
            read += round(float(found[1]) * int(found[2]))
    assert read, plan
    return read
