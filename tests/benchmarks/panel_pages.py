"""Every page of the panel: the same queries on a large platform as on the demo's data, and the time of both."""

import datetime
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.apps import apps
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_databases, teardown_databases

from config.demo import cast
from core.audit import Actor
from core.models import ApiToken, Job, User
from ippools.models import IPAddress, IPPool
from servers.models import Organization, Server
from stats.intake.tokens import make_ingest_token
from tests.benchmarks.panel_data import ADDRESSES, EVENTS, ORGANIZATIONS, SERVERS, enlarge
from tests.benchmarks.ratios import Ratio
from tests.panel.urls import looks

ROUNDS = 2
MOST_QUERIES = 20
MOST_MILLISECONDS = 1_000
# Files are no pages: they hold all that a list shows, and are read in batches, so their cost grows with their rows.
FILES = ("_export", "_usage", "_export_rules", "_zone")


@dataclass(frozen=True)
class Look:
    """What one page cost: queries, and the median time with nothing kept from before."""

    status: int
    queries: int
    milliseconds: float


def measure() -> Iterator[Ratio]:
    """Yield each page's time on the large data, and whether any makes other queries than on the demo's."""
    # As an installation does: pages name their files by contents.
    call_command("collectstatic", interactive=False, verbosity=0)
    with _database_of_its_own():
        call_command("load_demo", "--in-production", verbosity=0, stdout=_Silence())
        people = {"superuser": _superuser(), "owner": User.objects.get(username="olivia")}
        _leave_nothing_empty(people["superuser"])
        small = {who: _visit(person) for who, person in people.items()}
        enlarge(now=datetime.datetime.now(datetime.UTC))
        large = {who: _visit(person) for who, person in people.items()}
    yield Ratio("organizations on the large platform", ORGANIZATIONS)
    yield Ratio("servers", SERVERS)
    yield Ratio("IP addresses", ADDRESSES)
    yield Ratio("folded events", EVENTS)
    for who in people:
        yield from _compared(who, small[who], large[who])


def _compared(who: str, small: dict[str, Look], large: dict[str, Look]) -> Iterator[Ratio]:
    pages = [name for name in large if not name.endswith(FILES)]
    other = [
        f"{name} ({small[name].queries}, {large[name].queries})"
        for name in pages
        if large[name].queries != small[name].queries
    ]
    yield Ratio(f"{who}: pages", len(large))
    yield Ratio(
        f"{who}: pages that make other queries than on the demo's data {', '.join(other)}",
        len(other),
        0,
        is_at_most=True,
    )
    most = max(large, key=lambda name: large[name].queries)
    yield Ratio(f"{who}: most queries of a page ({most})", large[most].queries, MOST_QUERIES, is_at_most=True)
    for word, looked in (("demo's data", small), ("large platform", large)):
        times = [looked[name].milliseconds for name in pages if looked[name].status == 200]
        yield Ratio(f"{who}: median page on the {word}, milliseconds", statistics.median(times))
    slowest = sorted(pages, key=lambda name: -large[name].milliseconds)
    for name in slowest:
        if large[name].status != 200:
            continue
        told = f"{who}: {name}: ms, large (demo {small[name].milliseconds:,.0f}; {large[name].queries} queries)"
        yield Ratio(told, large[name].milliseconds, MOST_MILLISECONDS, is_at_most=True)
    for name in large.keys() - set(pages):
        yield Ratio(f"{who}: file {name}: ms, large (demo {small[name].milliseconds:,.0f})", large[name].milliseconds)


def _visit(person: User) -> dict[str, Look]:
    """Look at every page that there is, at the same records whatever else there is by now."""
    chosen = {
        "servers.organization": Organization.objects.get(permalink=cast.ORGANIZATIONS[0].permalink),
        "servers.server": Server.objects.get(name="Newsletter Europe", organization__permalink="northwind"),
        "ippools.ippool": IPPool.objects.get(name="Newsletters"),
        "ippools.ipaddress": IPAddress.objects.get(ipv4=cast.TROUBLED_ADDRESS),
    }

    def record_of(label: str) -> object:
        # The first ones are the demo's.
        return chosen.get(label) or apps.get_model(label)._default_manager.order_by("pk").first()

    client = Client(SERVER_NAME="localhost")
    client.force_login(person)
    return {name: _look(client, path) for name, path in looks(record_of).items()}


def _look(client: Client, path: str) -> Look:
    # What a process learns once, such as the types of contents, is not the page's.
    client.get(path, secure=True)
    cache.clear()
    with CaptureQueriesContext(connection) as captured:
        status = client.get(path, secure=True).status_code
        queries = len(captured)
    if status >= 500:
        raise SystemExit(f"{path} answers {status}")
    times = []
    for _ in range(ROUNDS):
        # Neither what a page keeps for some seconds nor anything else.
        cache.clear()
        began = time.perf_counter()
        client.get(path, secure=True)
        times.append((time.perf_counter() - began) * 1_000)
    return Look(status, queries, statistics.median(times))


def _superuser() -> User:
    return User.objects.create_user("bench", password=None, is_staff=True, is_superuser=True)


def _leave_nothing_empty(user: User) -> None:
    """Make one of what the demo has none of: the first row of a list may bring a query of its own."""
    Job.objects.create(kind="bulk", label="Pause delivery: 60 records", user_id=user.pk)
    ApiToken.objects.create(user=user, name="deploy", key_prefix="abcdef", key_digest="0" * 64)
    make_ingest_token(name="collector", actor=Actor.system())
    Group.objects.create(name="Night shift")


@contextmanager
def _database_of_its_own() -> Iterator[None]:
    """Leave the other benchmarks' data out of this one's, and this one's out of theirs."""
    logging.disable(logging.INFO)
    made = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        cache.clear()
        teardown_databases(made, verbosity=0)
        logging.disable(logging.NOTSET)


class _Silence:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
