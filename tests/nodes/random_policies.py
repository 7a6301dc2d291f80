"""Policies at random: nested domains, patterns of every kind, own rules and templates, gaps in defaults, redirects, pauses."""

from random import Random

from nodes.policy.model import (
    NodeIdentity,
    Policy,
    Pool,
    Route,
    RouteOverride,
    Source,
    Table,
    Target,
    Tenant,
    VirtualMTA,
)
from throttling.limits import LimitRule

NAMES = (
    "example",
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "b.example",
    "test",
    "d.test",
    "e.d.test",
    "f.e.d.test",
)
# Also what no pattern names: siblings, children, strangers.
DOMAINS = (*NAMES, "x.example", "x.a.example", "x.c.b.a.example", "x.y.test", "x.f.e.d.test", "other", "x.other")
PREFIXES = ("", "*.", "[*.]")
LIMITS = (0, 0, 1, 2, 3, 7, 20, 100)
RATES = (0, 0, 1, 7, 60, 100, 500, 3600, 4000, 12_000, 36_000)


def random_policy(random: Random, *, kind: str = "postfix", most_pools: int = 2, most_rules: int = 8) -> Policy:
    """Return a policy for one node; pools have addresses elsewhere, too."""
    sources = tuple(range(11, 11 + random.randint(1, 4)))
    elsewhere = tuple(range(31, 31 + random.randint(0, 2)))
    addresses = (*sources, *elsewhere)
    tables = [_table(random, number, most_rules, has_gaps=True) for number in sources]
    templates = [_table(random, number, most_rules, has_gaps=False) for number in range(51, 51 + random.randint(1, 2))]
    routes = _routes(random, addresses)
    pools = tuple(
        Pool(number, f"Pool {number}", tuple(sorted(random.sample(virtual_mtas, random.randint(1, len(virtual_mtas))))))
        for number in range(7, 7 + random.randint(1, most_pools))
        for virtual_mtas in [[*addresses, *(route.id for route in routes)]]
    )
    return Policy(
        node=NodeIdentity(1, "mta1", kind),
        revision=812,
        sources=tuple(
            Source(number, f"203.0.113.{number}", None, f"mta{number}.example.net", number, random.choice(templates).id)
            for number in sources
        ),
        virtual_mtas=tuple(
            sorted(
                (
                    *(
                        VirtualMTA(number, f"ip {number}", "ip_address", *_weight(random, addresses, number))
                        for number in addresses
                    ),
                    *(VirtualMTA(route.id, f"route {route.id}", "routing_rule", 0) for route in routes),
                ),
                key=lambda mta: mta.id,
            )
        ),
        routes=routes,
        tables=(*tables, *templates),
        pools=pools,
        tenants=tuple(
            Tenant(number, f"00000000-0000-0000-0000-{number:012}", f"acme/s{number}", 1, random.choice(pools).id)
            for number in range(1, 1 + random.randint(0, 3))
        ),
    )


def random_pauses(random: Random, policy: Policy) -> tuple[int, ...]:
    """Return some of the policy's addresses, those on other nodes too."""
    addresses = [mta.id for mta in policy.virtual_mtas if mta.kind == "ip_address"]
    return tuple(sorted(random.sample(addresses, random.randint(0, len(addresses))))) if random.random() < 0.4 else ()


def _weight(random: Random, addresses: tuple[int, ...], number: int) -> tuple[int, int | None]:
    """Return a priority, and perhaps where the address redirects: always upwards, so there is no circle."""
    later = [other for other in addresses if other > number]
    redirect = random.choice(later) if later and random.random() < 0.25 else None
    return random.choice((0, 1, 25, 50, 97, 100)), redirect


def _routes(random: Random, addresses: tuple[int, ...]) -> tuple[Route, ...]:
    if random.random() < 0.6:
        return ()
    overrides = (RouteOverride((random.choice(PREFIXES) + random.choice(NAMES),), _targets(random, addresses)),)
    return (Route(41, "random", _targets(random, addresses), overrides),)


def _targets(random: Random, addresses: tuple[int, ...]) -> tuple[Target, ...]:
    chosen = random.sample(addresses, random.randint(1, len(addresses)))
    portions = [random.randint(1, 10) for _ in chosen]
    return tuple(Target(mta, portion * 10_000 // sum(portions)) for mta, portion in zip(chosen, portions, strict=True))


def _table(random: Random, number: int, most_rules: int, *, has_gaps: bool) -> Table:
    patterns = [prefix + name for prefix in PREFIXES for name in NAMES]
    random.shuffle(patterns)
    rules = []
    for position in range(random.randint(0, most_rules)):
        domains = tuple(patterns.pop() for _ in range(random.randint(1, 3)) if patterns)
        if domains:
            rules.append(LimitRule(number * 100 + position, domains, random.choice(LIMITS), random.choice(RATES)))
    gap = has_gaps and random.random() < 0.6
    return Table(number, tuple(rules), None if gap else random.choice(LIMITS), None if gap else random.choice(RATES))
