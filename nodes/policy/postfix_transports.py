"""Compiles the transports of a pool's Postfix instance: one per address, rule and shard, and their weighted choice.

`X_transport_rate_delay` is the only counter that Postfix has for a whole transport, and waits for whole seconds. So an hourly
limit is met by k transports ("shards") of one connection, each with a delay of d seconds: 3600 * k / d an hour.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

from nodes.policy.compiled import Tag, tag_of
from nodes.policy.flat import Flat, Limit
from nodes.policy.model import Policy, Source
from nodes.policy.postfix_findings import Findings
from nodes.policy.shares import Entry, draw

type Joint = tuple[tuple[Entry, Limit], ...]

# A transport whose mail stays in the queue: it is in `defer_transports`.
WAITING = "waiting"
# The value of unlimited connections: Postfix's default limit of processes per service.
UNLIMITED_CONNECTIONS = 100
MOST_SHARDS = 100
# The most names in one draw.
MOST_NAMES = 1000
# A shard's next delay starts when a delivery ends; so much is allowed for the delivery when shards are counted.
DELIVERY_SECONDS = 0.3
ENOUGH = 0.85
LEAST = 0.8


@dataclass(frozen=True, slots=True)
class Shards:
    """So many transports, each of which delivers once in `delay` seconds."""

    count: int
    delay: int

    @property
    def per_hour(self) -> Fraction:
        """Return the most that they deliver in an hour."""
        return Fraction(3600 * self.count, self.delay)


def shards(per_hour: int, connections: int) -> Shards:
    """Return the shards for an hourly limit, never above it: as few as reach most of it with quick deliveries.

    Each shard is a connection, so the limit of connections (0: unlimited) is their limit, too.
    """
    best, best_rate = Shards(1, ceil(3600 / per_hour)), 0.0
    for count in range(1, min(connections or MOST_SHARDS, MOST_SHARDS) + 1):
        found = Shards(count, ceil(Fraction(3600 * count, per_hour)))
        rate = 3600 * count / (found.delay + DELIVERY_SECONDS)
        if rate > best_rate:
            best, best_rate = found, rate
        if rate >= ENOUGH * per_hour:
            return found
    return best


class Allotment:
    """Divides the limits of an address that is in several pools of the node, whose instances share no counter."""

    def __init__(self, tables: Mapping[int, Flat[Joint]]) -> None:
        self._pools: dict[int, list[int]] = {}
        for pool in sorted(tables):
            for source in {entry.source for value in tables[pool].values() for entry, _ in value}:
                self._pools.setdefault(source, []).append(pool)

    def is_divided(self, source: int) -> bool:
        """Return whether the address is in several pools."""
        return len(self._pools.get(source, ())) > 1

    def share(self, pool: int, source: int, limit: Limit) -> Limit | None:
        """Return the pool's part of a limit; None: nothing is left. The parts add up to the limit."""
        pools = self._pools[source]
        connections = _part(limit.connections, pools, pool)
        per_hour = _part(limit.per_hour, pools, pool)
        if connections is None or per_hour is None:
            return None
        return Limit(limit.rule, connections, per_hour, limit.program)


def _part(whole: int, pools: list[int], pool: int) -> int | None:
    if not whole:
        return 0
    return whole // len(pools) + (pools.index(pool) < whole % len(pools)) or None


class Transports:
    """The transports of one pool's instance, made as they are asked for."""

    def __init__(self, policy: Policy, allotment: Allotment, pool: int, findings: Findings) -> None:
        self._policy, self._allotment, self._pool, self._findings = policy, allotment, pool, findings
        self._names: dict[tuple[int, int], tuple[str, ...]] = {}
        self._limits: dict[tuple[int, int], Limit] = {}

    def of(self, source: int, limit: Limit) -> tuple[str, ...]:
        """Return the names of an address's transports for a rule; none: it may not send there from this pool."""
        key = source, limit.rule
        if key not in self._names:
            self._names[key] = self._make(self._policy.source_of[source], limit)
        return self._names[key]

    def _make(self, source: Source, asked: Limit) -> tuple[str, ...]:
        limit = self._allotment.share(self._pool, source.id, asked)
        what = source.ipv4 + (f" to {self._policy.rule_names[asked.rule]}" if asked.rule else "")
        if self._allotment.is_divided(source.id) and (asked.connections or asked.per_hour):
            self._findings.add("divided_between_pools", source.ipv4)
        if limit is None:
            return ()
        self._limits[source.id, asked.rule] = limit
        tag = tag_of(source.id, asked.rule)
        if not limit.per_hour:
            if not limit.connections:
                self._findings.add("default_connections", what)
            return (tag,)
        found = shards(limit.per_hour, limit.connections)
        if found.per_hour < LEAST * limit.per_hour:
            self._findings.add("hourly_limit_cut", what)
        elif found.per_hour < limit.per_hour:
            self._findings.add("hourly_limit_rounded", what)
        return tuple(f"{tag}-{number}" for number in range(1, found.count + 1))

    def tags(self) -> dict[str, Tag]:
        """Return the meaning of the tags in the log."""
        return {
            tag_of(source, rule): Tag(self._policy.source_of[source].ipv4, source, rule)
            for source, rule in self._limits
        }

    def services(self) -> list[str]:
        """Return the lines of master.cf, by name."""
        return [
            _service(name, self._policy.source_of[source], rule, limit)
            for (source, rule), limit in sorted(self._limits.items())
            for name in self._names[source, rule]
        ]

    def settings(self) -> dict[str, str]:
        """Return the parameters of main.cf."""
        found: dict[str, str] = {}
        for (source_id, rule), limit in self._limits.items():
            names = self._names[source_id, rule]
            for name in names:
                found.update({f"{name}_{word}": value for word, value in _parameters(rule, limit).items()})
        return found


def _service(name: str, source: Source, rule: int, limit: Limit) -> str:
    v6 = f"smtp_bind_address6={source.ipv6}" if source.ipv6 else "inet_protocols=ipv4"
    return (
        f"{name} unix - - n - {_processes(limit)} smtp -o syslog_name=sluice-{tag_of(source.id, rule)}"
        f" -o smtp_bind_address={source.ipv4} -o {v6} -o smtp_bind_address_enforce=yes"
        f" -o smtp_helo_name={source.hostname} -o smtp_connection_cache_on_demand=no"
    )


def _processes(limit: Limit) -> int:
    if limit.rule and limit.per_hour:
        return 1
    if limit.rule and limit.connections:
        return limit.connections
    # Without a rule, each domain has the limit for itself: it is in main.cf.
    return UNLIMITED_CONNECTIONS


def _parameters(rule: int, limit: Limit) -> dict[str, str]:
    # Else a few refused connections mark the whole destination as dead.
    found = {"destination_concurrency_failed_cohort_limit": "1000"}
    connections = limit.connections or UNLIMITED_CONNECTIONS
    if not limit.per_hour:
        found["destination_concurrency_limit"] = str(connections)
        found["initial_destination_concurrency"] = str(min(connections, 5))
        return found
    delay = f"{shards(limit.per_hour, limit.connections).delay}s"
    if rule:
        found["transport_rate_delay"] = delay
        # The delay counts deliveries: so each has one recipient.
        found["destination_recipient_limit"] = "1"
    else:
        # A counter for each domain. With a recipient limit of 1 it would be one for each recipient; the front sees to it that
        # each message has one.
        found["destination_rate_delay"] = delay
    return found


class Draws:
    """The maps of a pool's instance: the class of each domain, and the weighted transports of each class."""

    def __init__(
        self, transports: Transports, table: Flat[Joint], paused: Collection[int], pool: str, findings: Findings
    ) -> None:
        self._transports, self._paused, self._pool, self._findings = transports, paused, pool, findings
        self.default = self._randmap(table.default)
        self._classes: dict[str, tuple[str, list[str]]] = {}
        for names, prefix in ((table.exact, ""), (table.below, ".")):
            for name, value in names.items():
                self._classes.setdefault(_class_of(value), (self._randmap(value), []))[1].append(prefix + name)

    def maps(self) -> dict[str, str]:
        """Return the text of each map: its keys are domains, and `.domain` for all subdomains."""
        return {name: "".join(f"{key} {name}\n" for key in sorted(keys)) for name, (_, keys) in self._classes.items()}

    def transport_maps(self) -> str:
        """Return the look-up of main.cf: the class of a domain, then a draw."""
        return ", ".join(
            f"pipemap:{{lmdb:$config_directory/{name}, randmap:{{{randmap}}}}}"
            for name, (randmap, _) in sorted(self._classes.items())
        )

    def _randmap(self, value: Joint) -> str:
        limit_of = {entry.source: limit for entry, limit in value}
        names = {source: self._transports.of(source, limit) for source, limit in sorted(limit_of.items())}
        drawn = draw([entry for entry, _ in value], self._paused)
        # A pool that has no part of an address's limit does without that address.
        total = sum(share for source, share in drawn.items() if names[source])
        shares = {source: share / total for source, share in drawn.items() if names[source]}
        if not shares:
            return f"{WAITING}:"
        repeated = self._repeated({source: (shares[source], names[source]) for source in sorted(shares)})
        return ",".join(f"{name}:" for name, times in repeated for _ in range(times))

    def _repeated(self, shares: Mapping[int, tuple[Fraction, tuple[str, ...]]]) -> list[tuple[str, int]]:
        """Return how often to repeat each name, so that a uniform choice follows the shares."""
        scale = lcm(*((share / len(names)).denominator for share, names in shares.values()))
        if scale <= MOST_NAMES:
            return [(name, int(share / len(names) * scale)) for share, names in shares.values() for name in names]
        self._findings.add("weights_rounded", self._pool)
        repeated = []
        for share, names in shares.values():
            times = max(1, round(share * MOST_NAMES))
            # An address with a share too small for all of its shards is drawn by some of them.
            for number, name in enumerate(names[:times]):
                repeated.append((name, times // len(names) + (number < times % len(names))))
        return repeated


def _class_of(value: Joint) -> str:
    """Return the name of a class of domains: it depends on what is drawn from, not on pauses or numbers."""
    content = repr(
        [
            (entry.source, entry.weight, entry.unless, limit.rule, *(["rests"] if entry.rests else []))
            for entry, limit in value
        ]
    )
    return f"c-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
