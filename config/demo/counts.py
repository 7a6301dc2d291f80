"""A year of demo counts. The last two days are stored as events and folded; earlier days are counts only.

Those days are marked as dropped, as if their events had been held and thrown away: so the audit, which compares counts with
events, passes them over, and holds the coarser tiers to the finer ones as everywhere.
"""

import datetime
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from django.db import models

from config.demo import cast, platform, traffic, warming
from config.demo.cast import ServerRow
from config.demo.replies import Replies
from ippools.models import IPAddress
from servers.models import Server
from stats.counts import buckets, fold, tiers
from stats.counts.buckets import Grain
from stats.intake.directory import Directory, Reporter
from stats.intake.explanations import NOTHING
from stats.kinds import COLUMNS, NUMBERS
from stats.ledger import storage, storing
from stats.ledger.keys import MILLISECONDS_A_DAY, event_key
from stats.ledger.row import Row
from stats.models import (
    AddressCount,
    AddressReasonCount,
    Day,
    DomainCount,
    PlatformCount,
    PlatformProviderCount,
    Provider,
    ProviderCount,
    ReasonCount,
    SenderCount,
    ServerCount,
    ServerProviderCount,
    SignatureCount,
)

DAYS = 365
# Today and yesterday.
RAW_DAYS = 2
# What receivers answered, and whose mail they answered, is known since so many days: by address a week, as it is much.
_EXPLAINED_DAYS, _EXPLAINED_BY_ADDRESS_DAYS = 35, 7
_MODELS: dict[str, type[models.Model]] = {
    "server": ServerCount,
    "address": AddressCount,
    "domain": DomainCount,
    "sender": SenderCount,
    "provider": ProviderCount,
    "server and provider": ServerProviderCount,
    "class": ReasonCount,
    "class of an address": AddressReasonCount,
    "signature": SignatureCount,
    "provider of all servers": PlatformProviderCount,
    "platform": PlatformCount,
}
# Counts by scope, tier, number of the hour or day, and keys.
type Rows = dict[tuple[str, int, int, tuple[int, ...]], dict[str, int]]
_MINUTE = datetime.timedelta(minutes=1)


class Counts:
    """Writes the demo's traffic up to `now`; days that have had events or counts are left alone, but for the last two."""

    def __init__(self, *, now: datetime.datetime) -> None:
        self.now = now
        self.today = buckets.day_of(now)
        self._servers = [(row, server) for row in cast.SERVERS if (server := _living(row)) is not None]
        self._addresses = dict(IPAddress.objects.values_list("ipv4", "pk"))
        self._providers = dict(Provider.objects.values_list("name", "pk"))
        self._pools = {pool.name: pool.ips for pool in cast.POOLS}
        self._replies = Replies(self._providers, today=self.today)
        self._warm_since = buckets.day_number(warming.begins_on(now))
        self._directory = Directory(Reporter(), now=now)

    def write(self) -> int:
        """Write missing data, and return the number of stored events."""
        self._look_up()
        known = set(Day.objects.values_list("day", flat=True))
        missing = [day for day in range(self.today - DAYS + 1, self.today - RAW_DAYS + 1) if day not in known]
        months: dict[int, list[int]] = {}
        for day in missing:
            months.setdefault(buckets.month_number(buckets.date_of(day)), []).append(day)
        for days in months.values():
            self._write_days(days)
            storage.yield_to_writers()
        stored = sum(self._store(row, server) for row, server in self._servers)
        fold.fold_all(now=self.now, wait=True)
        return stored

    def _look_up(self) -> None:
        self._directory.find_servers({str(server.uuid) for _, server in self._servers})
        self._directory.find_addresses(self._addresses)
        servers = self._servers
        self._domains = self._directory.number_domains(
            (server.pk, name) for row, server in servers for name in row.domains
        )
        self._senders = self._directory.number_senders(
            (server.pk, name) for row, server in servers for name in row.senders
        )
        self._directory.note_subjects(
            {server.pk for _, server in servers},
            {self._addresses[ip] for ips in self._pools.values() for ip in ips if ip in self._addresses},
        )

    def _cells(self, row: ServerRow, day: int) -> list[traffic.Cell]:
        weekday = buckets.date_of(day).weekday()
        ips = [ip for ip in self._pools[row.pool] if ip in self._addresses]
        return traffic.cells(row, ips, weekday=weekday, age=self.today - day, day=day, warm_day=day - self._warm_since)

    # --- Days without events -----------------------------------------------------------------------------------------

    def _write_days(self, days: Sequence[int]) -> None:
        """Write the counts of some days of one month at their finest kept tiers; the coarser ones follow by the fold's SQL."""
        rows: Rows = {}
        for day in days:
            for row, server in self._servers:
                self._count(rows, row, server, day)
        made: dict[str, list[models.Model]] = {name: [] for name in _MODELS}
        for (name, grain, bucket, keys), counts in rows.items():
            columns = dict(zip(_KEYS[name], keys, strict=True))
            made[name].append(_MODELS[name](grain=grain, bucket=bucket, **columns, **counts))
        with storage.aggregating():
            storage.wait_for_folds()
            Day.objects.bulk_create(self._closed(day) for day in days)
            for name, instances in made.items():
                _MODELS[name]._default_manager.bulk_create(instances, batch_size=2_000)
            self._sum_up(days)

    def _count(self, rows: Rows, row: ServerRow, server: Server, day: int) -> None:
        cells = self._cells(row, day)
        if not cells:
            return
        whole = traffic.total(cells)
        rows["server", Grain.DAY, day, (server.pk,)] = whole
        _add(rows, ("platform", Grain.DAY, day, ()), whole)
        if day * buckets.HOURS_A_DAY >= fold.first_kept_hour(self.now):
            spread = {kind: traffic.by_hour(row, number) for kind, number in whole.items()}
            for hour in range(buckets.HOURS_A_DAY):
                counts = {kind: spread[kind][hour] for kind in COLUMNS}
                rows["server", Grain.HOUR, day * buckets.HOURS_A_DAY + hour, (server.pk,)] = counts
                _add(rows, ("platform", Grain.HOUR, day * buckets.HOURS_A_DAY + hour, ()), counts)
        for name, ids in (("domain", self._domain_ids(row, server)), ("sender", self._sender_ids(row, server))):
            split = {kind: traffic.apportion(number, _shares(ids)) for kind, number in whole.items()}
            for position, each in enumerate(ids):
                keys = (each,) if name == "domain" else (server.pk, each)
                rows[name, Grain.DAY, day, keys] = {kind: split[kind][position] for kind in COLUMNS}
        for cell in cells:
            if cell.address:
                address = self._addresses[cell.address]
                provider = self._providers.get(cell.provider, 0)
                for key in (("address", Grain.DAY, day, (address,)), ("provider", Grain.DAY, day, (address, provider))):
                    present = rows.get(key)
                    rows[key] = {kind: cell.counts[kind] + (present[kind] if present else 0) for kind in COLUMNS}
        if self.today - day < _EXPLAINED_DAYS:
            self._explain(rows, row, server, day, cells)

    def _explain(self, rows: Rows, row: ServerRow, server: Server, day: int, cells: Sequence[traffic.Cell]) -> None:
        """Count by provider and by reply, by hour and by day."""
        age = self.today - day
        found: dict[tuple[str, tuple[int, ...]], Counter[str]] = defaultdict(Counter)
        for cell in cells:
            address, provider = self._addresses.get(cell.address, 0), self._providers.get(cell.provider, 0)
            found["server and provider", (server.pk, provider)].update(cell.counts)
            found["provider of all servers", (provider,)].update(cell.counts)
            for kind in ("deferred", "bounced"):
                for explained, number in self._replies.split(cell, kind, age=age):
                    found["class", (server.pk, explained.reason)][kind] += number
                    found["signature", (address, explained.signature)][kind] += number
                    if address and age < _EXPLAINED_BY_ADDRESS_DAYS:
                        found["class of an address", (address, provider, explained.reason)][kind] += number
        for (name, keys), counts in found.items():
            _add(rows, (name, Grain.DAY, day, keys), counts)
            if name != "signature":
                spread = {kind: traffic.by_hour(row, number) for kind, number in counts.items() if number}
                for hour in range(buckets.HOURS_A_DAY):
                    if part := {kind: numbers[hour] for kind, numbers in spread.items() if numbers[hour]}:
                        _add(rows, (name, Grain.HOUR, day * buckets.HOURS_A_DAY + hour, keys), part)

    def _sum_up(self, days: Sequence[int]) -> None:
        dates = [buckets.date_of(day) for day in days]
        touched = {
            Grain.MONTH: sorted({buckets.month_number(date) for date in dates}),
            Grain.YEAR: sorted({date.year for date in dates}),
            Grain.TOTAL: [0],
        }
        for scope in tiers.SCOPES:
            for grain, finer in scope.sources():
                select = tiers.differences_from_finer(scope, grain, finer, touched[grain])
                storage.execute(tiers.add_differences(scope, select))

    def _closed(self, day: int) -> Day:
        date, end = buckets.date_of(day), buckets.start_of_day(day + 1)
        return Day(
            day=day,
            month=buckets.month_number(date),
            year=date.year,
            received_at=end,
            checked_at=end + 10 * _MINUTE,
            completed_at=end + 10 * _MINUTE,
            dropped_at=self.now,
            removed_at=self.now,
        )

    # --- Days with events --------------------------------------------------------------------------------------------

    def _store(self, row: ServerRow, server: Server) -> int:
        stored = 0
        for day in range(self.today - RAW_DAYS + 1, self.today + 1):
            events = list(self._events(row, server, day))
            for start in range(0, len(events), storage.batch_limit()):
                stored += storing.store(events[start : start + storage.batch_limit()], now=self.now).accepted
                storage.yield_to_writers()
        return stored

    def _events(self, row: ServerRow, server: Server, day: int) -> Iterator[Row]:
        """Yield a day's events up to now. Their keys are the same each time, so a second run adds what came since."""
        dice = random.Random(f"{row.organization}/{row.name}/{day}/events")  # noqa: S311 - it decides nothing
        until = int((self.now - buckets.EPOCH).total_seconds() * 1000)
        domains, senders = self._domain_ids(row, server), self._sender_ids(row, server)
        hours, uuid = traffic.HOURS[row.rhythm], server.uuid.bytes
        number = 0
        for cell in self._cells(row, day):
            address = self._addresses.get(cell.address, 0)
            provider = self._providers.get(cell.provider, 0)
            happened = list(traffic.kinds(cell.counts))
            at_hours = dice.choices(range(buckets.HOURS_A_DAY), hours, k=len(happened))
            replies = {
                kind: (
                    each for each, times in self._replies.split(cell, kind, age=self.today - day) for _ in range(times)
                )
                for kind in ("deferred", "bounced")
            }
            for kind, hour in zip(happened, at_hours, strict=True):
                number += 1
                reason, signature = next(replies[kind]) if kind in replies else NOTHING
                at = day * MILLISECONDS_A_DAY + hour * 3_600_000 + int(dice.random() * 3_600_000)
                if at > until:
                    continue
                key = event_key(at, uuid, NUMBERS[kind], f"demo-{number}")
                place = number % len(senders)
                yield (
                    key, at // 60_000, server.pk, address, domains[place % len(domains)], senders[place],
                    provider, NUMBERS[kind], reason, -1, signature, 0, -1,
                )  # fmt: skip

    def _domain_ids(self, row: ServerRow, server: Server) -> list[int]:
        return [self._domains[server.pk, name] for name in row.domains]

    def _sender_ids(self, row: ServerRow, server: Server) -> list[int]:
        return [self._senders[server.pk, name] for name in row.senders]


_KEYS = {scope.name: scope.keys for scope in tiers.SCOPES}


def _add(rows: Rows, key: tuple[str, int, int, tuple[int, ...]], counts: Mapping[str, int]) -> None:
    present = rows.setdefault(key, {})
    for kind, number in counts.items():
        if number:
            present[kind] = present.get(kind, 0) + number


def _shares(ids: Sequence[int]) -> list[float]:
    return [1 / (place + 1) for place in range(len(ids))]


def _living(row: ServerRow) -> Server | None:
    return platform.servers().get((row.organization, row.name))
