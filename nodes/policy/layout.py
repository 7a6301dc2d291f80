"""The common layout of a policy for JSON (Haraka) and Lua (KumoMTA), with repeated values stored once."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from nodes.policy.compiled import Tag, tag_of
from nodes.policy.flat import Flat, Limit
from nodes.policy.model import Policy, RuleLists, Tenant
from nodes.policy.shares import Entry

type Limits = Mapping[int, Flat[Limit]]
type Draws = Mapping[int, Flat[tuple[Entry, ...]]]

_REFUSALS = {
    "development": "This server is in development mode: nodes deliver no mail of it",
    "no_pool": "This server has no IP pool",
}


def document_of(policy: Policy, limits: Limits, draws: Draws) -> dict[str, Any]:
    """Return the whole policy; `limits` are of each source, `draws` of each pool."""
    return {
        "revision": policy.revision,
        "node": policy.node.name,
        **_limits(policy, limits),
        **_pools(policy, draws),
        **_tenants(policy),
    }


def tags_of(policy: Policy, limits: Limits) -> dict[str, Tag]:
    """Return a tag for each source and each rule that can win there, the default included."""
    return {
        tag_of(source.id, rule): Tag(source.ipv4, source.id, rule)
        for source in policy.sources
        for rule in sorted({limit.rule for limit in limits[source.id].values()} | {0})
    }


def source_name(source: int) -> str:
    """Return the name of an address in the file."""
    return f"a{source}"


def pool_name(pool: int | None) -> str | None:
    """Return the name of a pool in the file."""
    return None if pool is None else f"p{pool}"


def _limits(policy: Policy, tables: Limits) -> dict[str, Any]:
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


def _pools(policy: Policy, tables: Draws) -> dict[str, Any]:
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
    named, numbers = _Named[int]("c"), RuleLists()

    def rules_of(tenant: Tenant) -> str | None:
        if not tenant.rules:
            return None
        name, is_new = named.of(numbers.of(tenant.rules))
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
            "send_limits": {
                "hour": tenant.send_limit,
                "day": tenant.send_limit_a_day,
                "month": tenant.send_limit_a_month,
            },
            "refuse": refusal_of(tenant),
        }
        for tenant in policy.tenants
    }
    return {"rules": lists, "tenants": dict(sorted(tenants.items()))}


def refusal_of(tenant: Tenant) -> str | None:
    """Return the sentence with which a node refuses all mail of the server; None if it accepts mail."""
    if tenant.is_development:
        return _REFUSALS["development"]
    if tenant.pool is None and not tenant.rules:
        return _REFUSALS["no_pool"]
    return None


def _flat[Value](table: Flat[Value], written: Callable[[Value], Any]) -> dict[str, Any]:
    # The default first, so that numbers are given in an order that a reader can follow.
    default = written(table.default)
    return {
        "exact": {name: written(value) for name, value in table.exact.items()},
        "below": {name: written(value) for name, value in table.below.items()},
        "default": default,
    }


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
