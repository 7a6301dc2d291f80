"""Rollup tables: scopes × grains, and the SQL that adds to them. The same SQL on PostgreSQL and SQLite.

A scope's events are grouped once, at its finest grain, as rows with a column per kind; the coarser tiers are sums of that.
"""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stats import kinds
from stats.counts.buckets import Grain, first_day_of_month

COUNTERS = kinds.COLUMNS
# What happened to attempts at receivers, and what receivers explain.
_ATTEMPTS = ("sent", "deferred", "bounced")
_REPLIED = ("deferred", "bounced", "late_bounce")
_FROM_MINUTE = {Grain.MINUTE: "minute", Grain.HOUR: "minute / 60", Grain.DAY: "minute / 1440"}
# How long fine counts are kept. Coarser ones are kept permanently.
MINUTES_KEPT = datetime.timedelta(hours=2)
HOURS_KEPT = datetime.timedelta(days=90)


def _is_one_of(words: tuple[str, ...]) -> str:
    return f"kind IN ({', '.join(str(kinds.NUMBERS[word]) for word in words)})"


@dataclass(frozen=True, slots=True)
class Scope:
    """One rollup table: the subject of its rows, and its tiers."""

    name: str
    table: str
    keys: tuple[str, ...]
    # From the grain that events are grouped by to the coarsest.
    grains: tuple[Grain, ...]
    # Which events count here.
    condition: str = "true"
    # The kinds that have a column.
    counters: tuple[str, ...] = COUNTERS
    hours_kept: datetime.timedelta = HOURS_KEPT

    @property
    def counted(self) -> str:
        return ", ".join(self.counters)

    @property
    def count_events(self) -> str:
        # An integer here makes the sums above it bigint; of a bigint they would be numeric, which is slow.
        return ", ".join(
            f"CAST(count(*) FILTER (WHERE kind = {kinds.NUMBERS[word]}) AS integer) AS {word}" for word in self.counters
        )

    @property
    def sums(self) -> str:
        return ", ".join(f"CAST(sum({word}) AS bigint) AS {word}" for word in self.counters)

    @property
    def finest(self) -> Grain:
        return self.grains[0]

    @property
    def columns(self) -> str:
        """The keys behind other columns: with a comma before each, as the platform has none."""
        return "".join(f", {key}" for key in self.keys)

    def sources(self) -> list[tuple[Grain, Grain]]:
        """Return the tiers that are sums of a finer tier which is kept for ever, each with that one: months of days, years
        of months, the total of the coarsest before it."""
        coarse = [grain for grain in self.grains if grain >= Grain.DAY]
        return list(zip(coarse[1:], coarse, strict=False))

    def exact(self) -> list[Grain]:
        """Return the tiers that can be counted again from one day's events."""
        return [grain for grain in self.grains if grain <= Grain.DAY]


# Folds and rebuilds write the scopes in this order, and the rows of each by their keys: so they never deadlock.
SERVER_MINUTES = Scope("server by minute", "stats_servercount", ("server_id",), (Grain.MINUTE,))
SERVERS = Scope("server", "stats_servercount", ("server_id",), (Grain.HOUR, Grain.DAY, Grain.MONTH, Grain.TOTAL))
ADDRESSES = Scope(
    "address",
    "stats_addresscount",
    ("address_id",),
    (Grain.DAY, Grain.MONTH, Grain.YEAR, Grain.TOTAL),
    "address_id <> 0",
)
DOMAINS = Scope("domain", "stats_domaincount", ("domain_id",), (Grain.DAY, Grain.MONTH), "domain_id <> 0")
SENDERS = Scope("sender", "stats_sendercount", ("server_id", "sender_id"), (Grain.DAY,), "sender_id <> 0")
# Hours are what drains are decided by: a day says too late that a receiver turned against an address in its last hours.
PROVIDERS = Scope(
    "provider",
    "stats_providercount",
    ("address_id", "provider_id"),
    (Grain.HOUR, Grain.DAY),
    "address_id <> 0",
    hours_kept=datetime.timedelta(days=2),
)
# Whose mail to whom: what an organization's people are told of a provider.
SERVER_PROVIDERS = Scope(
    "server and provider",
    "stats_serverprovidercount",
    ("server_id", "provider_id"),
    (Grain.HOUR, Grain.DAY),
    hours_kept=datetime.timedelta(days=35),
)
# Why: what receivers said, by server, by address and provider, and by the kind of reply.
# Beside that what Sluice itself held back, because the recipient is suppressed.
REASONS = Scope(
    "class",
    "stats_reasoncount",
    ("server_id", "reason"),
    (Grain.HOUR, Grain.DAY),
    f"({_is_one_of(_REPLIED)} OR ({_is_one_of(('held',))} AND reason <> 0))",
    (*_REPLIED, "held"),
)
ADDRESS_REASONS = Scope(
    "class of an address",
    "stats_addressreasoncount",
    ("address_id", "provider_id", "reason"),
    (Grain.HOUR, Grain.DAY),
    f"address_id <> 0 AND {_is_one_of(_REPLIED)}",
    _REPLIED,
)
SIGNATURES = Scope(
    "signature",
    "stats_signaturecount",
    ("address_id", "signature_id"),
    (Grain.DAY,),
    f"signature_id <> 0 AND {_is_one_of(_REPLIED)}",
    _REPLIED,
)
# How fast: what an address's throttling rules let through, and how long messages were under way.
_THROTTLED = f"address_id <> 0 AND rule_id >= 0 AND {_is_one_of(_ATTEMPTS)}"
THROTTLE_MINUTES = Scope(
    "throttle by minute", "stats_throttlecount", ("address_id", "rule_id"), (Grain.MINUTE,), _THROTTLED, _ATTEMPTS
)
THROTTLES = Scope(
    "throttle",
    "stats_throttlecount",
    ("address_id", "rule_id"),
    (Grain.HOUR,),
    _THROTTLED,
    _ATTEMPTS,
    datetime.timedelta(days=35),
)
LATENCIES = Scope(
    "latency",
    "stats_latencycount",
    ("address_id", "provider_id", "latency"),
    (Grain.DAY,),
    f"address_id <> 0 AND latency >= 0 AND {_is_one_of(_ATTEMPTS)}",
    _ATTEMPTS,
)
# Of all servers: what the front page and a provider's page draw, and what is asked without a server, is a row for each hour
# and day. The last ones, because folds beside each other wait for their rows.
PLATFORM_PROVIDERS = Scope(
    "provider of all servers",
    "stats_platformprovidercount",
    ("provider_id",),
    (Grain.HOUR, Grain.DAY),
    hours_kept=datetime.timedelta(days=35),
)
PLATFORM = Scope("platform", "stats_platformcount", (), (Grain.HOUR, Grain.DAY))
SCOPES = (
    SERVER_MINUTES, SERVERS, ADDRESSES, DOMAINS, SENDERS, PROVIDERS, SERVER_PROVIDERS, REASONS, ADDRESS_REASONS,
    SIGNATURES, THROTTLE_MINUTES, THROTTLES, LATENCIES, PLATFORM_PROVIDERS, PLATFORM,
)  # fmt: skip


def group_events(scope: Scope, grain: Grain, events: str, source: str = "stats_event") -> str:
    """Return the SELECT that counts events by bucket and keys; `events` is a condition on the events table, or on a
    `source` that has some of its rows."""
    return (
        f"SELECT {_FROM_MINUTE[grain]} AS bucket{scope.columns}, {scope.count_events} FROM {source}"
        f" WHERE {events} AND {scope.condition} GROUP BY 1{scope.columns}"
    )


def count_events(events: str) -> str:
    return f"SELECT count(*) FROM stats_event WHERE {events}"


def lacking_batches(batches: str, events: str) -> str:
    """Return the SELECT of folded batches that do not have all their events any more, with how many are gone.

    `events` bounds the events of all these batches by constants: with a batch's own bounds alone, PostgreSQL plans for every
    partition that there is.
    """
    present = (
        "SELECT count(*) FROM stats_event AS event WHERE event.batch_id = batch.id"
        f" AND event.key >= batch.least_key AND event.key <= batch.greatest_key AND {events}"
    )
    return (
        f"SELECT id, lacking FROM (SELECT id, event_count - ({present}) AS lacking FROM stats_batch AS batch"
        f" WHERE folded_at IS NOT NULL AND {batches}) AS counted WHERE lacking <> 0 ORDER BY id"
    )


def fold_events(scope: Scope, events: str, source: str, *, first_hour: int) -> str:
    """Return the statement that adds events of a source (`group_events`) to all tiers of a scope; hours before
    `first_hour` are not kept, so not written."""
    tiers = " UNION ALL ".join(_tier(scope, grain, first_hour) for grain in scope.grains)
    base = group_events(scope, scope.finest, events, source)
    return _add(scope, tiers, f"WITH base AS MATERIALIZED ({base}) ")


def differences_from_events(scope: Scope, grain: Grain, events: str, *, first: int, last: int) -> str:
    """Return the SELECT of truth minus counts for the buckets from first to last; `events` must select just theirs."""
    return _difference(scope, grain, group_events(scope, grain, events), f"bucket BETWEEN {first} AND {last}")


def differences_from_finer(scope: Scope, grain: Grain, finer: Grain, buckets: Collection[int]) -> str:
    """Return the SELECT of what a tier should be, by a finer tier, minus what it is, for these buckets."""
    wanted = ", ".join(str(int(bucket)) for bucket in buckets)
    join, bucket, within = "", "0", "true"
    match grain, finer:
        case Grain.MONTH, Grain.DAY:
            join, bucket = " JOIN stats_day ON stats_day.day = bucket", "stats_day.month"
            within = _within((first_day_of_month(month), first_day_of_month(month + 1)) for month in buckets)
        case Grain.YEAR, Grain.MONTH:
            bucket = "bucket / 12"
            within = _within((year * 12, year * 12 + 12) for year in buckets)
    truth = (
        f"SELECT {bucket} AS bucket{scope.columns}, {scope.sums} FROM {scope.table}{join}"
        f" WHERE grain = {finer:d} AND {bucket} IN ({wanted}) AND ({within}) GROUP BY 1{scope.columns}"
    )
    return _difference(scope, grain, truth, f"bucket IN ({wanted})")


def _within(spans: Iterable[tuple[int, int]]) -> str:
    """Return the condition that a bucket is in one of these spans (half-open, in order), neighbours as one: the finer tier is
    read by its key then, and not as a whole, which grows with every day that was ever counted."""
    joined: list[tuple[int, int]] = []
    for first, end in spans:
        if joined and joined[-1][1] == first:
            first = joined.pop()[0]
        joined.append((first, end))
    return " OR ".join(f"bucket >= {first:d} AND bucket < {end:d}" for first, end in joined)


def add_differences(scope: Scope, differences: str) -> str:
    """Return the statement that adds what a `differences_…` SELECT finds."""
    return _add(scope, differences)


def _tier(scope: Scope, grain: Grain, first_hour: int) -> str:
    """Return the SELECT that makes one tier's rows out of `base`."""
    if grain == scope.finest:
        kept = f" WHERE bucket >= {first_hour}" if grain == Grain.HOUR else ""
        return f"SELECT {grain:d} AS grain, bucket{scope.columns}, {scope.counted} FROM base{kept}"
    day = "bucket / 24" if scope.finest == Grain.HOUR else "bucket"
    join, bucket = "", "0"
    match grain:
        case Grain.DAY:
            bucket = day
        case Grain.MONTH | Grain.YEAR:
            join, bucket = f" JOIN stats_day ON stats_day.day = {day}", f"stats_day.{grain.label}"
    return f"SELECT {grain:d}, {bucket}{scope.columns}, {scope.sums} FROM base{join} GROUP BY 2{scope.columns}"


def _difference(scope: Scope, grain: Grain, truth: str, where: str) -> str:
    # SQLite knows FULL JOIN only since 3.39; adding up truth and negated counts says the same.
    negated = ", ".join(f"-{word} AS {word}" for word in scope.counters)
    differs = " OR ".join(f"sum({word}) <> 0" for word in scope.counters)
    counted = f"SELECT bucket{scope.columns}, {negated} FROM {scope.table} WHERE grain = {grain:d} AND {where}"
    return (
        f"SELECT {grain:d} AS grain, bucket{scope.columns}, {scope.sums}"
        f" FROM (SELECT * FROM ({truth}) AS truth UNION ALL {counted}) AS both_sides"
        f" GROUP BY bucket{scope.columns} HAVING {differs}"
    )


def _add(scope: Scope, rows: str, with_: str = "") -> str:
    key = f"grain, bucket{scope.columns}"
    added = ", ".join(f"{word} = {scope.table}.{word} + excluded.{word}" for word in scope.counters)
    # `WHERE true` tells SQLite's parser that ON CONFLICT is no join condition.
    columns = f"{key}, {scope.counted}"
    return (
        f"INSERT INTO {scope.table} ({columns}) {with_}SELECT {columns} FROM ({rows}) AS tiers WHERE true"
        f" ORDER BY {key} ON CONFLICT ({key}) DO UPDATE SET {added}"
    )
