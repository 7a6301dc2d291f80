"""Haraka: one JSON file, `sluice.json`, which the plug-in in agent/haraka/ reads anew whenever it changes.

Exact for addresses, weights, connections and hourly limits. Pauses, suspensions and credentials come with the overlay, which
the agent writes beside it, so the overlay changes nothing here.
"""

from collections.abc import Hashable
from typing import Any

import orjson

from nodes.policy import findings
from nodes.policy.compiled import Compiled, Tag, tag_of
from nodes.policy.flat import Flat, Limit, limit_tables, pool_table
from nodes.policy.model import Overlay, Policy, PoolRule, Tenant
from nodes.policy.shares import Entry

FILE = "sluice.json"
FORMAT = 1
_REFUSALS = {
    "development": "This server is in development mode: nodes deliver no mail of it",
    "no_pool": "This server has no IP pool",
}


def compile_policy(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the file, the tags and the fidelity report."""
    tables = limit_tables(policy)
    pools = {pool.id: pool_table(policy, pool.id) for pool in policy.pools}
    document = {
        "format": FORMAT,
        "revision": policy.revision,
        "node": policy.node.name,
        **_limits(policy, tables),
        **_pools(policy, pools),
        **_tenants(policy),
    }
    tags = {
        tag_of(source.id, rule): Tag(source.ipv4, source.id, rule)
        for source in policy.sources
        for rule in sorted({limit.rule for limit in tables[source.id].values()} | {0})
    }
    return Compiled({FILE: _text(document)}, tags, tuple(findings.shared(policy, pools)))


def source_name(source: int) -> str:
    """Return what the file calls an address."""
    return f"a{source}"


def pool_name(pool: int | None) -> str | None:
    """Return what the file calls a pool."""
    return None if pool is None else f"p{pool}"


def _limits(policy: Policy, tables: dict[int, Flat[Limit]]) -> dict[str, Any]:
    limits = _Numbered[Limit]()
    named = _Named[int]("l")
    documents = {}
    sources = {}
    for source in policy.sources:
        table = tables[source.id]
        name, is_new = named.of(id(table))
        if is_new:
            documents[name] = _flat(table, limits.of)
        sources[source_name(source.id)] = {
            "ip": source.ipv4,
            "ipv6": source.ipv6,
            "helo": source.hostname,
            "limits": name,
        }
    return {
        "limit": [
            {"rule": each.rule, "connections": each.connections, "per_hour": each.per_hour} for each in limits.values
        ],
        "limits": documents,
        "sources": sources,
    }


def _pools(policy: Policy, tables: dict[int, Flat[tuple[Entry, ...]]]) -> dict[str, Any]:
    draws: dict[str, Any] = {}
    named = _Named[tuple[Entry, ...]]("d")

    def draw_of(entries: tuple[Entry, ...]) -> str:
        name, is_new = named.of(entries)
        if is_new:
            draws[name] = [
                [source_name(each.source), each.weight, [source_name(other) for other in each.unless]]
                for each in entries
            ]
        return name

    pools = {f"p{pool.id}": {"name": pool.name, **_flat(tables[pool.id], draw_of)} for pool in policy.pools}
    return {"draws": draws, "pools": pools}


def _tenants(policy: Policy) -> dict[str, Any]:
    lists: dict[str, Any] = {}
    named = _Named[tuple[PoolRule, ...]]("c")

    def rules_of(tenant: Tenant) -> str | None:
        if not tenant.rules:
            return None
        name, is_new = named.of(tenant.rules)
        if is_new:
            lists[name] = [
                {"from": list(rule.senders), "to": list(rule.recipients), "pool": pool_name(rule.pool)}
                for rule in tenant.rules
            ]
        return name

    tenants = {
        tenant.name: {
            "server": tenant.uuid,
            "pool": pool_name(tenant.pool),
            "rules": rules_of(tenant),
            "per_hour": tenant.send_limit,
            "refuse": refusal_of(tenant),
        }
        for tenant in policy.tenants
    }
    return {"rules": lists, "tenants": dict(sorted(tenants.items()))}


def refusal_of(tenant: Tenant) -> str | None:
    """Return the sentence with which a node refuses all mail of the server; None where it takes it."""
    if tenant.is_development:
        return _REFUSALS["development"]
    if tenant.pool is None and not tenant.rules:
        return _REFUSALS["no_pool"]
    return None


def _flat[Value](table: Flat[Value], written: Any) -> dict[str, Any]:
    # The default first, so that numbers are given in an order that a reader can follow.
    default = written(table.default)
    return {
        "exact": {name: written(value) for name, value in table.exact.items()},
        "below": {name: written(value) for name, value in table.below.items()},
        "default": default,
    }


def _text(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


class _Numbered[Value: Hashable]:
    """Values by number, from 0, in the order in which they were first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}

    def of(self, value: Value) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Value]:
        return list(self._numbers)


class _Named[Value: Hashable]:
    """Names for values, `l1`, `l2` …, and whether a name is new."""

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._names: dict[Value, str] = {}

    def of(self, value: Value) -> tuple[str, bool]:
        is_new = value not in self._names
        return self._names.setdefault(value, f"{self._letter}{len(self._names) + 1}"), is_new
