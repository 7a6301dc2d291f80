"""Findings of the fidelity report that apply to every kind of MTA."""

from collections.abc import Iterable, Iterator, Mapping

from nodes.policy.compiled import Fidelity, Finding
from nodes.policy.flat import Flat
from nodes.policy.model import Policy, Tenant
from nodes.policy.shares import Entry

type Draws = Mapping[int, Flat[tuple[Entry, ...]]]


def shared(policy: Policy, pools: Draws) -> Iterator[Finding]:
    """Yield the findings about VirtualMTAs, pools and servers; `pools` has the draws of each pool."""
    yield from _about(
        Fidelity.NOT_ENFORCED,
        "relay_server",
        "Nodes do not send through relay servers: what redirects to one leaves by the pool's other addresses, or waits.",
        [mta.name for mta in policy.virtual_mtas if mta.kind == "relay_server"],
    )
    yield from _about(
        Fidelity.NOT_ENFORCED,
        "constant_choice",
        "The choice among a routing rule's targets is made anew at each attempt, not once for a message or a recipient.",
        [policy.virtual_mta_of[route.id].name for route in policy.routes if route.randomization != "random"],
    )
    elsewhere = {pool.id: pool.name for pool in policy.pools if not any(pools[pool.id].values())}
    yield from _about(
        Fidelity.STRICTER,
        "pool_elsewhere",
        "No mail of these pools leaves from this node: all of their addresses are on others. It waits here.",
        elsewhere.values(),
    )
    somewhere = {pool.name for pool in policy.pools if pool.id not in elsewhere and not all(pools[pool.id].values())}
    yield from _about(
        Fidelity.STRICTER,
        "domains_elsewhere",
        "Mail of these pools to some domains, for which a routing rule chooses addresses of other nodes, waits here.",
        somewhere,
    )
    yield from _send_limits(policy)
    yield from _about(
        Fidelity.STRICTER,
        "development_mode",
        "Servers in development mode hold all mail, which a node cannot: it refuses theirs.",
        [tenant.name for tenant in policy.tenants if tenant.is_development],
    )


def ipv4_only(policy: Policy) -> Iterator[Finding]:
    """Yield the finding about IPv6 addresses, for the MTAs whose files name the IPv4 addresses alone."""
    yield from _about(
        Fidelity.STRICTER,
        "ipv4_only",
        "Mail leaves by the IPv4 addresses alone: the IPv6 addresses of these are not used.",
        [source.ipv4 for source in policy.sources if source.ipv6],
    )


def _send_limits(policy: Policy) -> Iterator[Finding]:
    limited = [tenant for tenant in policy.tenants if tenant.has_send_limit]
    if policy.node.kind == "haraka":
        yield from _about(
            Fidelity.NOT_ENFORCED,
            "send_limit",
            "Each node counts for itself. Where a server sends by several, its send limit can be passed by what leaves in the"
            " seconds until the panel has counted it.",
            [tenant.name for tenant in limited if _sends_elsewhere(policy, tenant)],
        )
        return
    yield from _about(
        Fidelity.NOT_ENFORCED,
        "send_limit",
        "When the panel has counted that a send limit is reached, new mail is deferred, within seconds. What was accepted"
        " before still leaves.",
        [tenant.name for tenant in limited],
    )


def _sends_elsewhere(policy: Policy, tenant: Tenant) -> bool:
    pools = {tenant.pool, *(rule.pool for rule in tenant.rules)} - {None}
    members = {member for pool in pools if pool is not None for member in policy.pool_of[pool].members}
    return not members <= policy.source_of.keys()


def _about(fidelity: Fidelity, code: str, message: str, about: Iterable[str]) -> Iterator[Finding]:
    found = list(about)
    if found:
        yield Finding.of(fidelity, code, message, found)
