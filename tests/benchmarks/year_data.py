"""A year of events on PostgreSQL, written by SQL straight into the ledger's tables, and two databases at once to compare.

A week is written and then counted by the product's own fold. All other days repeat a day of it: their events, batches, and
counts by hour and day are copies with another time. Months, years and totals are made by the statements of the product's
rebuild. That the copies are what the fold would have written, the product's audit tells: it counts days again from events.

What the SQL leaves out is what ingestion does before a row is stored: parsing, looking up names, finding duplicates. The rows
are those that it would store: the same columns, keys that begin with the time and go on with a digest, batches with their
bounds, a partition a day.
"""

import datetime
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from django.conf import settings
from django.db import connection, connections

from servers.models import Domain
from stats.counts import buckets, fold, tiers
from stats.counts.buckets import Grain
from stats.kinds import REPLIED
from stats.ledger import keys, row, storage, storing
from stats.models import ServerCount
from tests.benchmarks.stats_data import DAY_MS, DOMAINS_A_SERVER, KINDS, SENDERS_A_SERVER, Platform

EVENTS_A_BATCH = 2_000
# Which server an event is of: as many places as its share, of so many.
SLOTS = 65_536


class Year:
    """Writes days of the ledger with so many events each, for the servers and addresses of a platform."""

    def __init__(self, platform: Platform, *, a_day: int) -> None:
        self.platform, self.a_day = platform, a_day
        self.batches = -(-a_day // EVENTS_A_BATCH)
        self._first_batches: dict[int, int] = {}
        servers = [server.pk for server in platform.servers]
        addresses = [address.pk for address in platform.addresses]
        # The SQL reckons ids from places.
        assert servers == list(range(servers[0], servers[0] + len(servers)))
        assert addresses == list(range(addresses[0], addresses[0] + len(addresses)))
        self.first_server, self.first_address = servers[0], addresses[0]
        self._slots = "{" + ",".join(map(str, _slots(platform))) + "}"

    def name(self) -> None:
        """Write the names behind the rows' numbers, and a record of each server's first domain."""
        last = len(self.platform.servers) - 1
        for table, a_server, name in (
            ("stats_senderdomain", DOMAINS_A_SERVER, "'domain' || part || '.server' || which || '.example'"),
            ("stats_sender", SENDERS_A_SERVER, "'news' || part || '@domain.server' || which || '.example'"),
        ):
            storage.execute(
                f"INSERT INTO {table} (id, server_id, first_seen_day, name)"
                f" SELECT which * {a_server} + part + 1, {self.first_server} + which, 0, {name}"
                f" FROM generate_series(0, {last}) AS which, generate_series(0, {a_server - 1}) AS part"
            )
            storage.fetch(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        for table in ("stats_signature", "stats_recipientdomain"):
            storage.execute(
                f"INSERT INTO {table} (server_id, first_seen_day, name{', code, enhanced, text' * ('signature' in table)})"
                f" SELECT 0, 0, 'name-' || number{", 550, '5.1.1', 'Reply ' || number" * ('signature' in table)}"
                " FROM generate_series(1, 300) AS number"
            )
        Domain.objects.bulk_create(
            Domain(server=server, name=f"domain0.server{which}.example", dkim_public_key="p")
            for which, server in enumerate(self.platform.servers)
        )

    def write(self, day: int) -> None:
        """Write a day's batches and events, in the order of their times, as they come in. They are not counted yet."""
        with mock.patch.object(settings, "SLUICE_EVENT_RETENTION", 400):
            storing.ensure_days([day], now=buckets.start_of_day(day))
        at = f"{day * DAY_MS} + {{}} * {DAY_MS}::bigint / {self.a_day}"
        first, last = f"number * {EVENTS_A_BATCH}", f"least({self.a_day}, (number + 1) * {EVENTS_A_BATCH}) - 1"
        with storage.aggregating():
            ids = storage.fetch(
                "INSERT INTO stats_batch (received_at, event_count, least_key, greatest_key)"
                f" SELECT to_timestamp(({at.format(f'({last})')}) / 1000), {last} - {first} + 1,"
                f" {_key(at.format(f'({first})'), f"'{'0' * 20}'")}, {_key(at.format(f'({last})'), f"'{'f' * 20}'")}"
                f" FROM generate_series(0, {self.batches - 1}) AS number ORDER BY number RETURNING id"
            )
            first_batch = min(ids)[0]
            assert sorted(ids) == [(first_batch + number,) for number in range(self.batches)]
            storage.execute(self._events(day, at.format("index"), first_batch))
        self._first_batches[day] = first_batch
        storage.execute(f"VACUUM (ANALYZE) stats_event_{day}")

    def repeat(self, original: int, day: int, *, now: datetime.datetime) -> None:
        """Write a day that is like another one, with its batches and its counts by hour and day."""
        first, days = self._first_batches[original], day - original
        name, milliseconds = f"stats_event_{day}", days * DAY_MS
        moved = {
            "key": _moved("key", milliseconds),
            "minute": f"minute + {days * buckets.MINUTES_A_DAY}",
        }
        with storage.aggregating():
            ids = storage.fetch(
                "INSERT INTO stats_batch (received_at, event_count, least_key, greatest_key, folded_at)"
                f" SELECT received_at + interval '{days} days', event_count, {_moved('least_key', milliseconds)},"
                f" {_moved('greatest_key', milliseconds)}, folded_at FROM stats_batch"
                f" WHERE id BETWEEN {first} AND {first + self.batches - 1} ORDER BY id RETURNING id"
            )
            moved["batch_id"] = f"batch_id + {min(ids)[0] - first}"
            # Indexes after the rows, and then attached: a third of the time.
            storage.execute(f"CREATE TABLE {name} (LIKE stats_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            columns = [*row.COLUMNS, "batch_id"]
            storage.execute(
                f"INSERT INTO {name} ({row.SQL}) SELECT {', '.join(moved.get(each, each) for each in columns)}"
                f" FROM stats_event_{original}"
            )
            storage.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (key); CREATE INDEX ON {name} (batch_id)")
            bounds = (keys.least_key(day), keys.least_key(day + 1))
            storage.execute(
                f"ALTER TABLE stats_event ATTACH PARTITION {name} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
            )
            storing.new_day(day, buckets.start_of_day(day)).save(force_insert=True)
            for scope in tiers.SCOPES:
                _repeat_counts(scope, original, day, now)

    def sum_up(self, days: range) -> None:
        """Add up months, years and totals of these days, which were repeated."""
        dates = [buckets.date_of(day) for day in days]
        touched = {
            Grain.MONTH: sorted({buckets.month_number(date) for date in dates}),
            Grain.YEAR: sorted({date.year for date in dates}),
            Grain.TOTAL: [0],
        }
        with storage.aggregating():
            for scope in tiers.SCOPES:
                for grain, finer in scope.sources():
                    select = tiers.differences_from_finer(scope, grain, finer, touched[grain])
                    storage.execute(tiers.add_differences(scope, select))

    def _events(self, day: int, at: str, first_batch: int) -> str:
        """Return the INSERT of a day, of which `Platform.rows` is the Python."""
        values = {
            "key": _key("at", f"substr(md5('{day}-' || index), 1, 20)"),
            "minute": "at / 60000",
            "server_id": f"{self.first_server} + which",
            "address_id": f"{self.first_address} + (which * 7 + part * 13) % {len(self.platform.addresses)}",
            "domain_id": f"which * {DOMAINS_A_SERVER} + part % {DOMAINS_A_SERVER} + 1",
            "sender_id": f"which * {SENDERS_A_SERVER} + part % {SENDERS_A_SERVER} + 1",
            "provider_id": "part % 12",
            "kind": "kind",
            "reason": "CASE WHEN is_replied THEN part % 16 + 1 ELSE 0 END",
            "latency": "part % 12",
            "signature_id": "CASE WHEN is_replied THEN part % 300 + 1 ELSE 0 END",
            "recipient_id": "part % 4 + 1",
            "rule_id": "0",
            "batch_id": f"{first_batch} + index / {EVENTS_A_BATCH}",
        }
        assert list(values) == [*row.COLUMNS, "batch_id"]
        replied = ", ".join(map(str, sorted(REPLIED)))
        return (
            f"INSERT INTO stats_event_{day} ({row.SQL})"
            f" SELECT {', '.join(values[name] for name in values)} FROM ("
            f" SELECT index, at, which, part, kind, kind IN ({replied}) AS is_replied FROM ("
            f" SELECT index, at, part, (slots.servers)[chance % {SLOTS} + 1] AS which,"
            f" ('{{{','.join(map(str, KINDS))}}}'::int[])[part % {len(KINDS)} + 1] AS kind FROM ("
            f" SELECT index, {at} AS at, chance, (chance / {SLOTS} % 1000)::int AS part FROM ("
            f" SELECT index, hashint8extended(index, {day}) & 9223372036854775807 AS chance"
            f" FROM generate_series(0, {self.a_day - 1}) AS index OFFSET 0) AS drawn) AS timed"
            f" CROSS JOIN (SELECT '{self._slots}'::smallint[] AS servers OFFSET 0) AS slots) AS chosen) AS made"
        )


def _slots(platform: Platform) -> list[int]:
    """Return a server's place for each slot: the shares of the platform's distribution, rounded."""
    whole, found, which = platform.weights[-1], [], 0
    for slot in range(SLOTS):
        while platform.weights[which] / whole * SLOTS <= slot:
            which += 1
        found.append(which)
    return found


def _key(at: str, rest: str) -> str:
    return f"(lpad(to_hex({at}), 12, '0') || {rest})::uuid"


def _moved(key: str, milliseconds: int) -> str:
    """Return a key's expression with another time in its first six bytes."""
    at = f"('x' || substr({key}::text, 1, 8) || substr({key}::text, 10, 4))::bit(48)::bigint"
    return _key(f"({at} + {milliseconds})", f"substr({key}::text, 15)")


def _repeat_counts(scope: tiers.Scope, original: int, day: int, now: datetime.datetime) -> None:
    for grain, a_day in ((Grain.HOUR, buckets.HOURS_A_DAY), (Grain.DAY, 1)):
        if grain not in scope.grains:
            continue
        first, moved = original * a_day, (day - original) * a_day
        kept = max(first, fold.first_kept_hour(now, scope) - moved) if grain == Grain.HOUR else first
        storage.execute(
            f"INSERT INTO {scope.table} (grain, bucket{scope.columns}, {scope.counted})"
            f" SELECT grain, bucket + {moved}{scope.columns}, {scope.counted} FROM {scope.table}"
            f" WHERE grain = {grain:d} AND bucket >= {kept} AND bucket < {first + a_day} ORDER BY bucket{scope.columns}"
        )


def counted() -> int:
    """Return how many events are in the servers' totals."""
    kinds = " + ".join(f"sum({each})" for each in ("incoming", "sent", "deferred", "bounced", "held", "spam"))
    return int(storage.fetch(f"SELECT {kinds} FROM {ServerCount._meta.db_table} WHERE grain = {Grain.TOTAL:d}")[0][0])


# --- Several databases -----------------------------------------------------------------------------------------------


class Copies:
    """Copies of this database, each with a connection of its own: for turns that follow each other at once."""

    def __init__(self) -> None:
        self._own = dict(connection.settings_dict)
        self._wrappers: dict[str, Any] = {}
        self._names: list[str] = []
        self._backends: dict[str, Path] = {}

    def make(self, name: str) -> str:
        """Copy the database as it is now; nobody else may be connected."""
        copy = f"{self._own['NAME']}_{name}_{uuid.uuid4().hex[:6]}"
        connections.close_all()
        if getattr(connection, "pool", None):
            connection.close_pool()
        with self._server() as server:
            server.execute("CHECKPOINT")
            server.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{self._own["NAME"]}" STRATEGY file_copy')
        self._names.append(copy)
        return copy

    @contextmanager
    def at(self, copy: str) -> Iterator[None]:
        """Let the block's queries go to a copy, or to this database."""
        if copy not in self._wrappers:
            options = {key: value for key, value in self._own.get("OPTIONS", {}).items() if key != "pool"}
            # One process on both sides: whether there are parallel workers depends on what else runs.
            options["options"] = "-c max_parallel_workers_per_gather=0"
            wanted = {**self._own, "NAME": copy, "OPTIONS": options, "CONN_MAX_AGE": None}
            self._wrappers[copy] = type(connections["default"])(wanted, alias="default")
        before = connections["default"]
        connections["default"] = self._wrappers[copy]
        try:
            yield
        finally:
            connections["default"] = before

    @contextmanager
    def timed(self, copy: str, times: list[float]) -> Iterator[None]:
        """Let the block's queries go to a copy, and add the milliseconds of processor that it took, here and in PostgreSQL.

        By the clock, whatever else the machine does would be measured; where the server runs elsewhere, it is.
        """
        with self.at(copy):
            before = self._spent(copy)
            yield
            times.append((self._spent(copy) - before) * 1000)

    def _spent(self, copy: str) -> float:
        if copy not in self._backends:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._backends[copy] = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
        try:
            # Nanoseconds on a processor.
            of_server = int(self._backends[copy].read_text().split()[0]) / 1e9
        except OSError:
            return time.perf_counter()
        return time.process_time() + of_server

    @property
    def itself(self) -> str:
        return str(self._own["NAME"])

    def drop(self) -> None:
        """Remove the copies."""
        for wrapper in self._wrappers.values():
            wrapper.close()
        with self._server() as server:
            for name in self._names:
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _server(self) -> psycopg.Connection[Any]:
        own = self._own
        return psycopg.connect(
            host=own["HOST"],
            port=own["PORT"],
            user=own["USER"],
            password=own["PASSWORD"],
            dbname="postgres",
            autocommit=True,
        )
