"""Every read of counts: each page of the panel and each request of Postal's API that asks a table of the statistics."""

import statistics
from collections.abc import Iterator
from urllib.parse import urlencode

from django.apps import apps
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.audit import Actor
from core.models import User
from servers.credentials import create_credential
from stats.counts import buckets
from tests.benchmarks.ratios import Ratio
from tests.benchmarks.stats_data import Platform, today
from tests.benchmarks.year_data import Copies
from tests.panel import urls

ROUNDS = 11
# Of those that seem to grow: some milliseconds beside other programs are measured to a tenth no sooner.
ROUNDS_AGAIN = 41
# Files of lists ask no statistics, and take long.
LISTS = ("_export", "_export_rules", "_zone")
# Files have a row for each day or month that there is: their cost is told, and has no goal.
FILES = (".csv",)


class Reader:
    """Asks the panel and the API, each time with nothing kept from before."""

    def __init__(self, platform: Platform) -> None:
        call_command("collectstatic", interactive=False, verbosity=0)
        self.platform = platform
        self.user = User.objects.create_user("bench", password=None, is_staff=True, is_superuser=True)
        self.key = create_credential(server=platform.servers[0], kind="api", name="bench", actor=Actor.system()).key
        self.client = Client(SERVER_NAME="localhost")
        self.client.force_login(self.user)

    def paths(self) -> list[str]:
        """Return what there is to read that asks the statistics, found by asking."""
        found = []
        for path in [*self._requests(), *self._questions(), *self._pages()]:
            self.read(path)
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                status = self.read(path)
            if status == 200 and any("stats_" in query["sql"] for query in captured):
                found.append(path)
        return found

    def read(self, path: str) -> int:
        """Make one request and return its status."""
        headers = {"X-Server-API-Key": self.key} if path.startswith("/api/") else {}
        response = self.client.get(path, secure=True, headers=headers)
        if path.startswith("/api/"):
            assert b'"status":"success"' in response.content, (path, response.content)
        assert response.status_code < 500, path
        return response.status_code

    def compare(self, copies: Copies, pair: tuple[str, str], *, most: float) -> Iterator[Ratio]:
        """Yield each read's time in the second database, to that in the first."""
        with copies.at(pair[1]):
            paths = self.paths()
        yield Ratio("pages and requests that read statistics", len(paths))
        for path in paths:
            short, long, growth = self._compared(copies, pair, path, ROUNDS)
            has_goal = not path.endswith(FILES)
            if growth > most and has_goal:
                short, long, growth = self._compared(copies, pair, path, ROUNDS_AGAIN)
            told = f"{short:5.1f} {long:5.1f} ms {path}"[:78]
            yield Ratio(told, growth, most, is_at_most=True) if has_goal else Ratio(f"a file: {told}"[:78], growth)

    def _compared(self, copies: Copies, pair: tuple[str, str], path: str, rounds: int) -> tuple[float, float, float]:
        times: dict[str, list[float]] = {name: [] for name in pair}
        for number in range(rounds + 1):
            for database in pair if number % 2 else reversed(pair):
                cache.clear()
                with copies.timed(database, times[database]):
                    self.read(path)
        # The first round of each learns.
        short, long = (times[name][1:] for name in pair)
        growth = statistics.median(b / a for a, b in zip(short, long, strict=True))
        return statistics.median(short), statistics.median(long), growth

    def _requests(self) -> Iterator[str]:
        week = {"start_date": f"{buckets.date_of(today() - 20)}", "end_date": f"{buckets.date_of(today())}"}
        year = {"start_date": "1970-01-01", "end_date": "2100-01-01"}
        server = {"server_id": str(self.platform.servers[0].uuid)}
        for name, asked in (
            (
                "servers/show",
                {"include_stats": "true", "include_domains": "true", "include_detailed_stats": "true", **server},
            ),
            ("servers/list", {}),
            ("servers/email-stats", week),
            ("servers/email-stats", year),
            ("servers/email-stats-breakdown", week),
            ("domains/list", {"include_stats": "true"}),
            ("servers/ip_pools", {"include_stats": "true", "find_least_used": "true"}),
            *(
                ("servers/ip_pools", {"include_stats": "true", "stats_period": period.value})
                for period in buckets.Period
            ),
        ):
            yield f"/api/v1/{name}?{urlencode(asked)}"

    def _questions(self) -> Iterator[str]:
        """Yield what the explorer is asked of thirty days."""
        span = {"since": f"{buckets.date_of(today() - 29)}T00:00", "until": f"{buckets.date_of(today() + 1)}T00:00"}
        for group in ("", "server", "address", "provider", "domain", "sender", "reason", "signature"):
            yield f"{reverse('admin:explorer')}?{urlencode({'group': group, **span, 'zone': 'UTC'})}"

    def _pages(self) -> Iterator[str]:
        for place in urls.addresses():
            if place.name in urls.NO_PAGES or place.name.endswith(LISTS) or place.name == "app_list":
                continue
            arguments = urls.ARGUMENTS.get(place.name, [])
            if place.has_record and place.model:
                record = apps.get_model(place.model)._default_manager.order_by("pk").first()
                if record is None:
                    continue
                arguments = [record.pk]
            path = reverse(f"admin:{place.name}", args=arguments)
            asked = urls.AUTOCOMPLETE if place.name == "autocomplete" else urls.ASKED.get(place.name)
            yield f"{path}?{urlencode(asked)}" if asked else path
