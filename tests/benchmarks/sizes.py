"""Every page of the panel and every GET of both dialects at three sizes: none costs more because the platform is larger.

The first size is the demo with each of its lists filled to a page, the second 200 organizations, 2,000 servers and 5,000
addresses, the third ten times that. The same records are asked for at each, and lists by their own defaults: so an answer shows
as many rows at each size, and what is compared is the platform around them. It would not do to compare with the demo alone: a
list of three rows costs less than a page of fifty, on any platform.

A platform that is ten times as large has ten times as many organizations, and not larger ones. So the bounds are for the
platform's own lists and pages, and for what the steady organization sees, which is as large at each size: its owner's pages and
the reads of its server's key. The demo's first organization has a tenth of everything: from the first size to the third it
becomes twenty times as large. What adds it up costs more with it, on a platform of any size; that is told, and has no bound.
Files are told without one too: they hold everything that a list shows.

Nothing is kept between two requests, but for the front page, which is told both ways. Three databases are asked in turns;
growth is the median of each turn's ratio of processor time, of this process and of PostgreSQL's together, because other
programs would be measured by the clock. The times that are told, p50 and p95, are by the clock. BENCH_SIZES names who asks
(superuser,owner,GreenArrow,Postal), where not all are wanted; BENCH_ROUNDS the turns, and BENCH_ONLY a regular expression of
the requests' names.
"""

import datetime
import logging
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import User
from servers.models import Server
from tests.benchmarks import sizes_asked
from tests.benchmarks.panel_data import FULL, HUGE, LARGE, Size, counted, enlarge, own_records, steady_records
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.sizes_asked import Asked
from tests.benchmarks.year_data import Copies

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
# Of those that seem to grow: some milliseconds beside other programs are measured to a tenth no sooner.
ROUNDS_AGAIN = 3 * ROUNDS + 4
MOST_GROWTH, MOST_GROWTH_OF_A_RECORD = 1.25, 1.1
MOST_QUERIES = 20
MOST_MILLISECONDS = 1_000
SUCCESS = re.compile(rb'"status":"success"|"success":true')
WHO = os.environ.get("BENCH_SIZES", "superuser,owner,GreenArrow,Postal").split(",")
ONLY = re.compile(os.environ.get("BENCH_ONLY", ""))


@dataclass
class Cost:
    """What one request cost in one database."""

    status: int = 0
    queries: int = 0
    size: int = 0
    # Milliseconds of processor, and by the clock.
    used: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.took)

    @property
    def p95(self) -> float:
        return sorted(self.took)[-(-len(self.took) * 95 // 100) - 1]


def measure() -> Iterator[Ratio]:
    """Yield each request's growth from the first size to the third."""
    # As an installation does: pages name their files by contents.
    call_command("collectstatic", interactive=False, verbosity=0)
    logging.disable(logging.INFO)
    copies = Copies()
    try:
        databases, asked = make_databases(copies)
        for size, name in databases.items():
            yield Ratio(f"{size}: MB", _megabytes(copies, name))
        costs = {}
        for number, each in enumerate(asked):
            costs[each] = found = _costs(copies, list(databases.values()), each)
            _say(f"{number + 1} of {len(asked)}: {each}")
            if found[0].status == 200:
                yield _told(each, found)
        yield from _summed_up(costs)
    finally:
        cache.clear()
        copies.drop()


def make_databases(copies: Copies) -> tuple[dict[Size, str], list[Asked]]:
    """Fill a database for each size; return their names, and what is asked of them."""
    began = time.perf_counter()
    call_command("load_demo", "--in-production", verbosity=0, stdout=_Silence())
    now = datetime.datetime.now(datetime.UTC)
    databases, asked, kept = {}, [], None
    for size in (FULL, LARGE, HUGE):
        enlarge(now=now, size=size, kept=kept)
        asked, kept = asked or _asked(now), kept or counted()
        databases[size] = copies.itself if size is HUGE else copies.make(f"{size.servers}")
        _say(f"{size}: {time.perf_counter() - began:.0f} s")
    return databases, asked


def _asked(now: datetime.datetime) -> list[Asked]:
    of_tenth, steady = own_records(), steady_records()
    superuser = User.objects.create_user(
        "bench", password=None, is_staff=True, is_superuser=True, api_level=User.ApiLevel.YES
    )
    owner, owner_of_tenth = (User.objects.get(username=name) for name in ("hugo", "olivia"))
    server, server_of_tenth = (each[Server] for each in (steady, of_tenth))
    assert isinstance(server, Server)
    assert isinstance(server_of_tenth, Server)
    found = [
        *sizes_asked.pages("superuser", superuser, steady),
        *sizes_asked.pages("superuser, of a tenth", superuser, of_tenth, is_largest=True),
        *sizes_asked.pages("owner", owner, steady),
        *sizes_asked.pages("owner, of a tenth", owner_of_tenth, of_tenth, is_largest=True),
        *sizes_asked.greenarrow(superuser, of_tenth, now),
        *sizes_asked.postal("Postal", server, is_largest=False),
        *sizes_asked.postal("Postal, of a tenth", server_of_tenth, is_largest=True),
    ]
    return [each for each in found if each.who.partition(",")[0] in WHO and ONLY.search(each.name)]


def _costs(copies: Copies, databases: list[str], asked: Asked) -> list[Cost]:
    """Ask for it in each database by turns; more often where it seems to grow."""
    costs = {name: Cost() for name in databases}
    for name, cost in costs.items():
        with copies.at(name):
            # What a process learns once, such as the types of contents, is not the page's.
            asked.client.get(asked.path, secure=True)
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                response = asked.client.get(asked.path, secure=True)
            body = b"".join(response) if response.streaming else response.content
            cost.status, cost.queries, cost.size = response.status_code, len(captured), len(body)
        if cost.status >= 500 or (asked.is_api and SUCCESS.search(body) is None):
            raise SystemExit(f"{asked.path} answers {cost.status}: {body[:500]!r}")
    if cost.status == 200:
        for rounds in (ROUNDS, ROUNDS_AGAIN):
            for number in range(rounds):
                for name in databases if number % 2 else reversed(databases):
                    _ask(copies, name, asked, costs[name])
            if _growth(list(costs.values())) <= _most(asked) or not asked.has_goal:
                break
    return list(costs.values())


def _ask(copies: Copies, name: str, asked: Asked, cost: Cost) -> None:
    # Neither what a page keeps for some seconds nor anything else.
    cache.clear()
    if asked.is_kept:
        with copies.at(name):
            asked.client.get(asked.path, secure=True)
    began = time.perf_counter()
    with copies.timed(name, cost.used):
        response = asked.client.get(asked.path, secure=True)
        if response.streaming:
            for _ in response:
                pass
    cost.took.append((time.perf_counter() - began) * 1_000)


def _most(asked: Asked) -> float:
    return MOST_GROWTH_OF_A_RECORD if asked.is_record else MOST_GROWTH


def _growth(costs: list[Cost]) -> float:
    first, last = costs[0], costs[-1]
    return statistics.median(b / a for a, b in zip(first.used, last.used, strict=True))


def _told(asked: Asked, costs: list[Cost]) -> Ratio:
    times = "  ".join(f"{cost.p50:.0f}/{cost.p95:.0f}" for cost in costs)
    queries = "/".join(str(cost.queries) for cost in costs)
    bytes_ = f" bytes×{costs[-1].size / costs[0].size:.1f}" if abs(costs[-1].size / costs[0].size - 1) > 0.1 else ""
    told = f"{times} ms, {queries} queries{bytes_}: {asked}"
    growth = _growth(costs)
    if not asked.has_goal:
        return Ratio(f"without a goal: {told}", growth)
    return Ratio(told, growth, _most(asked), is_at_most=True)


def _summed_up(costs: dict[Asked, list[Cost]]) -> Iterator[Ratio]:
    shown = {asked: found for asked, found in costs.items() if asked.has_goal}
    other = [f"{asked} {[each.queries for each in found]}" for asked, found in shown.items() if _varies(found)]
    yield Ratio(
        f"requests that make other queries on larger platforms {', '.join(other)}", len(other), 0, is_at_most=True
    )
    for who in dict.fromkeys(asked.who for asked in shown):
        found = {asked: cost for asked, cost in shown.items() if asked.who == who and cost[0].status == 200}
        yield Ratio(f"{who}: requests", len(found))
        for number, word in enumerate(("first", "second", "third")):
            times = [time for cost in found.values() for time in cost[number].took]
            for percent in (50, 95):
                yield Ratio(f"{who}: p{percent} of all, {word} size, ms", sorted(times)[len(times) * percent // 100])
        growths = [_growth(cost) for cost in found.values()]
        yield Ratio(f"{who}: median growth", statistics.median(growths))
        most = max(found, key=lambda asked: found[asked][-1].queries)
        yield Ratio(f"{who}: most queries ({most.name})", found[most][-1].queries, MOST_QUERIES, is_at_most=True)
        slowest = max(found, key=lambda asked: found[asked][-1].p50)
        yield Ratio(f"{who}: slowest, ms ({slowest.name})", found[slowest][-1].p50, MOST_MILLISECONDS, is_at_most=True)


def _varies(costs: list[Cost]) -> bool:
    return len({cost.queries for cost in costs}) > 1


def _megabytes(copies: Copies, name: str) -> float:
    with copies.at(name), connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return float(cursor.fetchone()[0]) / 2**20


def _say(text: str) -> None:
    print(f"{datetime.datetime.now(datetime.UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


class _Silence:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
