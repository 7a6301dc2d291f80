"""Compares two policies of a node by effect: limits by domain, weights of addresses, servers."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from nodes.policy.flat import Flat, Limit, limit_tables, pool_table
from nodes.policy.model import Policy
from nodes.policy.shares import Entry
from throttling.domains import ITSELF_AND_SUBDOMAINS, SUBDOMAINS

# What the default limits are for.
OTHER_DOMAINS = "all other domains"
_UNNAMED = "?"

type Numbers = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A change of limits of some addresses for a pattern. Numbers are (connections, messages per hour); 0 is unlimited."""

    pattern: str
    before: Numbers
    after: Numbers
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrawChange:
    """A change of a pool's addresses or weights (for a pattern): weights by address."""

    pool: str
    pattern: str
    before: tuple[tuple[str, int], ...]
    after: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes of a node's policy. `concerned` are the servers that use an address with changed limits."""

    limits: tuple[LimitChange, ...] = ()
    unchanged_patterns: int = 0
    draws: tuple[DrawChange, ...] = ()
    addresses_added: tuple[str, ...] = ()
    addresses_removed: tuple[str, ...] = ()
    servers_added: tuple[str, ...] = ()
    servers_removed: tuple[str, ...] = ()
    servers_changed: tuple[str, ...] = ()
    concerned: tuple[str, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether the policies have the same effect."""
        return self == Difference(unchanged_patterns=self.unchanged_patterns)


def difference(before: Policy | None, after: Policy) -> Difference:
    """Compare two policies of one node; `before` None: it has none yet."""
    if before is None:
        before = Policy(after.node, 0)
    old, new = limit_tables(before), limit_tables(after)
    both = sorted(old.keys() & new.keys())
    ip_of = {source.id: source.ipv4 for source in (*before.sources, *after.sources)}
    limits, unchanged = _limits(old, new, both, ip_of)
    changed_ips = {ip for change in limits for ip in change.addresses}
    tenants = {tenant.name: tenant for tenant in before.tenants}
    arrived = {tenant.name: tenant for tenant in after.tenants}
    return Difference(
        limits=tuple(limits),
        unchanged_patterns=unchanged,
        draws=tuple(_draws(before, after)),
        addresses_added=tuple(ip_of[pk] for pk in sorted(new.keys() - old.keys())),
        addresses_removed=tuple(ip_of[pk] for pk in sorted(old.keys() - new.keys())),
        servers_added=tuple(sorted(arrived.keys() - tenants.keys())),
        servers_removed=tuple(sorted(tenants.keys() - arrived.keys())),
        servers_changed=tuple(
            sorted(name for name in tenants.keys() & arrived.keys() if tenants[name] != arrived[name])
        ),
        concerned=tuple(servers_sending_by(after, {pk for pk in both if ip_of[pk] in changed_ips})),
    )


def servers_sending_by(policy: Policy, sources: set[int]) -> list[str]:
    """Return the servers that can send from one of these sources."""
    if not sources:
        return []
    pools = {
        pool.id
        for pool in policy.pools
        if any(entry.source in sources for entries in pool_table(policy, pool.id).values() for entry in entries)
    }
    return sorted(
        tenant.name
        for tenant in policy.tenants
        if tenant.pool in pools or any(rule.pool in pools for rule in tenant.rules)
    )


def _limits(
    old: Mapping[int, Flat[Limit]], new: Mapping[int, Flat[Limit]], both: list[int], ip_of: Mapping[int, str]
) -> tuple[list[LimitChange], int]:
    addresses: defaultdict[tuple[str, Numbers, Numbers], list[str]] = defaultdict(list)
    # Thousands of sources share a table.
    compared: dict[tuple[int, int], list[tuple[str, Numbers, Numbers]]] = {}
    for pk in both:
        key = (id(old[pk]), id(new[pk]))
        if key not in compared:
            compared[key] = _compared(old[pk], new[pk])
        for row in compared[key]:
            addresses[row].append(ip_of[pk])
    changes = [
        LimitChange(pattern, before, after, tuple(ips))
        for (pattern, before, after), ips in addresses.items()
        if before != after
    ]
    changed = {change.pattern for change in changes}
    unchanged = {pattern for pattern, _, _ in addresses} - changed
    changes.sort(key=lambda change: (change.pattern == OTHER_DOMAINS, change.pattern, change.before, change.after))
    return changes, len(unchanged)


def _compared(old: Flat[Limit], new: Flat[Limit]) -> list[tuple[str, Numbers, Numbers]]:
    rows = [(OTHER_DOMAINS, _numbers(old.default), _numbers(new.default))]
    for name in sorted({*old.exact, *new.exact, *old.below, *new.below}):
        itself = (_numbers(old.of(name)), _numbers(new.of(name)))
        under = (_numbers(old.of(f"{_UNNAMED}.{name}")), _numbers(new.of(f"{_UNNAMED}.{name}")))
        is_named = name in old.exact or name in new.exact
        is_parent = name in old.below or name in new.below
        if is_named and is_parent and itself == under:
            rows.append((f"{ITSELF_AND_SUBDOMAINS}{name}", *itself))
            continue
        rows += [(name, *itself)] if is_named else []
        rows += [(f"{SUBDOMAINS}{name}", *under)] if is_parent else []
    return rows


def _numbers(limit: Limit) -> Numbers:
    return limit.connections, limit.per_hour


def _draws(before: Policy, after: Policy) -> list[DrawChange]:
    changes = []
    for pool in after.pools:
        if pool.id not in before.pool_of:
            continue
        old, new = pool_table(before, pool.id), pool_table(after, pool.id)
        rows = [(OTHER_DOMAINS, old.default, new.default)]
        rows += [(name, old.of(name), new.of(name)) for name in sorted({*old.exact, *new.exact})]
        rows += [
            (f"{SUBDOMAINS}{name}", old.of(f"{_UNNAMED}.{name}"), new.of(f"{_UNNAMED}.{name}"))
            for name in sorted({*old.below, *new.below})
        ]
        for pattern, was, becomes in rows:
            first, second = _weights(before, was), _weights(after, becomes)
            if first != second:
                changes.append(DrawChange(pool.name, pattern, first, second))
    return changes


def _weights(policy: Policy, entries: tuple[Entry, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((policy.source_of[entry.source].ipv4, entry.weight) for entry in entries)


# --- In sentences ----------------------------------------------------------------------------------------------------


def sentences(found: Difference) -> list[str]:
    """Return the difference as sentences, one per line; empty without differences."""
    lines = [_of_limit(change) for change in found.limits]
    if found.limits:
        customers = {name.partition("/")[0] for name in found.concerned}
        others = f"{_count(found.unchanged_patterns, 'other pattern')} unchanged"
        lines.append(
            f"{others}; {_count(len(customers), 'customer')}, {_count(len(found.concerned), 'server')} send there"
        )
    lines += [_of_draw(change) for change in found.draws]
    for what, names in (
        ("New addresses", found.addresses_added),
        ("Addresses that no longer send", found.addresses_removed),
        ("New servers", found.servers_added),
        ("Servers that no longer send here", found.servers_removed),
        ("Servers with another pool, other rules or another mode", found.servers_changed),
    ):
        if names:
            lines.append(f"{what}: {_some(names)}")
    return lines


def _of_limit(change: LimitChange) -> str:
    parts = []
    if change.before[1] != change.after[1]:
        parts.append(f"{_limit(change.before[1])} → {_limit(change.after[1])} an hour")
    if change.before[0] != change.after[0]:
        parts.append(f"{_limit(change.before[0])} → {_limit(change.after[0])} connections")
    return f"{change.pattern} on {_count(len(change.addresses), 'address')} {', '.join(parts)}"


def _of_draw(change: DrawChange) -> str:
    domains = "" if change.pattern == OTHER_DOMAINS else f" to {change.pattern}"
    return f"Pool {change.pool}{domains}: {_by(change.before)} → {_by(change.after)}"


def _by(weights: tuple[tuple[str, int], ...]) -> str:
    return _some([f"{ip} ({weight})" for ip, weight in weights]) if weights else "no address"


def _limit(value: int) -> str:
    return "unlimited" if value == 0 else f"{value:,}"


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}es" if noun.endswith("s") else f"{number:,} {noun}s"


def _some(names: tuple[str, ...] | list[str], most: int = 10) -> str:
    left = len(names) - most
    return ", ".join(chain(names[:most], [f"{left} more"] if left > 0 else []))
