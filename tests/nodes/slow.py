"""What a policy means, worked out the long mta: what the compiled files are held to.

Nothing here knows flat tables, and limits are asked of `throttling.limits` for the very domain.
"""

from dataclasses import dataclass
from fractions import Fraction

from nodes.policy.model import Overlay, Policy, Route, Target, Tenant
from throttling.domains import patterns_matching
from throttling.limits import effective


@dataclass(frozen=True)
class Limits:
    rule: int
    connections: int
    per_hour: int


@dataclass(frozen=True)
class Outcome:
    """By which addresses a message leaves, each with its probability and its limits; `is_refused`: it is not even taken."""

    is_refused: bool
    shares: dict[str, Fraction]
    limits: dict[str, Limits]


REFUSED = Outcome(is_refused=True, shares={}, limits={})


def outcome(policy: Policy, overlay: Overlay, tenant: Tenant, sender: str, recipient: str) -> Outcome:
    pool = pool_of(tenant, sender, recipient)
    if pool is None or tenant.is_development or is_stopped(overlay, tenant):
        return REFUSED
    domain = recipient.rpartition("@")[2].lower()
    draws: list[tuple[int, Fraction]] = []
    resting = {
        rest.source
        for rest in overlay.resting
        if not rest.domains or any(pattern in rest.domains for pattern in patterns_matching(domain))
    }
    for member in policy.pool_of[pool].members:
        mta = policy.virtual_mta_of[member]
        weight = Fraction(mta.priority) if mta.kind == "ip_address" else Fraction(1)
        found = follow(policy, overlay, member, domain)
        draws += [(source, weight * share) for source, share in found if source not in resting]
    if not any(weight for _, weight in draws):
        found_draws = unweighted(policy, overlay, pool, domain)
        draws = [(source, Fraction(1)) for source, _ in found_draws if source not in resting]
    total = sum((weight for _, weight in draws), Fraction(0))
    shares: dict[str, Fraction] = {}
    limits = {}
    for source, weight in draws:
        if weight:
            ip = policy.source_of[source].ipv4
            shares[ip] = shares.get(ip, Fraction(0)) + weight / total
            limits[ip] = limits_of(policy, source, domain)
    return Outcome(is_refused=False, shares=shares, limits=limits)


def is_stopped(overlay: Overlay, tenant: Tenant) -> bool:
    return tenant.name in {each.tenant for each in (*overlay.suspended, *overlay.deferred)}


def unweighted(policy: Policy, overlay: Overlay, pool: int, domain: str) -> list[tuple[int, tuple[int, ...]]]:
    """The distinct paths of a pool to a source: by which addresses that redirect, to which source."""
    found = {
        (source, tuple(sorted(path)))
        for member in policy.pool_of[pool].members
        for source, path in paths(policy, overlay, member, domain)
    }
    return sorted(found)


def paths(policy: Policy, overlay: Overlay, number: int, domain: str) -> list[tuple[int, tuple[int, ...]]]:
    if number in overlay.paused:
        return []
    if route := policy.route_of.get(number):
        return [
            path for target in targets(route, domain) for path in paths(policy, overlay, target.virtual_mta, domain)
        ]
    mta = policy.virtual_mta_of[number]
    if mta.redirect is not None:
        passed = (number,) if mta.kind == "ip_address" else ()
        return [(source, (*passed, *path)) for source, path in paths(policy, overlay, mta.redirect, domain)]
    return [(number, ())] if number in policy.source_of else []


def follow(policy: Policy, overlay: Overlay, number: int, domain: str) -> list[tuple[int, Fraction]]:
    if number in overlay.paused:
        return []
    if route := policy.route_of.get(number):
        chosen = targets(route, domain)
        total = sum(target.portion for target in chosen)
        return [
            (source, share * Fraction(target.portion, total))
            for target in chosen
            for source, share in follow(policy, overlay, target.virtual_mta, domain)
        ]
    mta = policy.virtual_mta_of[number]
    if mta.redirect is not None:
        return follow(policy, overlay, mta.redirect, domain)
    return [(number, Fraction(1))] if number in policy.source_of else []


def targets(route: Route, domain: str) -> tuple[Target, ...]:
    for pattern in patterns_matching(domain):
        for override in route.overrides:
            if pattern in override.patterns:
                return override.targets
    return route.targets


def pool_of(tenant: Tenant, sender: str, recipient: str) -> int | None:
    for rule in tenant.rules:
        if holds(rule.senders, sender) and holds(rule.recipients, recipient):
            return rule.pool
    return tenant.pool


def holds(conditions: tuple[str, ...], address: str) -> bool:
    name, _, domain = address.lower().rpartition("@")
    return not conditions or domain in conditions or f"{name.partition('+')[0]}@{domain}" in conditions


def limits_of(policy: Policy, source: int, domain: str) -> Limits:
    row = policy.source_of[source]
    found = effective((policy.limit_table_of[row.own], policy.limit_table_of[row.template]), (), domain)
    rule = found.rule.id if found.rule else 0
    return Limits(rule, found.max_concurrent_connections, found.max_messages_per_hour)
