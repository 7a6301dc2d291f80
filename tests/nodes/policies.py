"""Policies made by hypothesis, and domains to ask them about: few names, so that patterns meet."""

import datetime
from dataclasses import dataclass

from hypothesis import strategies as st

from nodes.policy.model import (
    Deferral,
    NodeIdentity,
    Overlay,
    Policy,
    Pool,
    PoolRule,
    Rest,
    Route,
    RouteOverride,
    Source,
    Suspension,
    Table,
    Target,
    Tenant,
    VirtualMTA,
)
from throttling.limits import LimitRule

NAMES = [
    "com", "a.com", "b.com", "x.a.com", "y.a.com", "z.x.a.com", "a.net", "b.net", "x.b.net", "mail.x.b.net",
]  # fmt: skip
PATTERNS = [prefix + name for name in NAMES for prefix in ("", "*.", "[*.]")]
DOMAINS = st.sampled_from(
    [*NAMES, *(f"q.{name}" for name in NAMES), *(f"p.q.{name}" for name in NAMES), "org", "q.org"]
)
# Rules that only make tables long, for domains that are never asked about except by chance.
FILLERS = [f"d{number}.example" for number in range(240)]
ADDRESSES = ["ann@a.com", "Ann+tag@A.com", "bob@b.net", "bob@x.b.net", "o'neil@a.com"]

LIMITS = st.sampled_from([0, 1, 5, 100, 12_000])


@dataclass(frozen=True)
class Case:
    policy: Policy
    overlay: Overlay


@st.composite
def tables(draw: st.DrawFn, number: int, *, is_template: bool, many: bool) -> Table:
    patterns = draw(st.permutations(PATTERNS))[: draw(st.integers(0, 12))]
    rules = []
    while patterns:
        size = draw(st.integers(1, 3))
        taken, patterns = patterns[:size], patterns[size:]
        rules.append(LimitRule(number * 1_000 + len(rules) + 1, tuple(taken), draw(LIMITS), draw(LIMITS), None))
    if many:
        rules += [
            LimitRule(number * 1_000 + len(rules) + 1 + position, (name,), position % 3, position, None)
            for position, name in enumerate(FILLERS[: 250 - len(rules)])
        ]
    default = LIMITS if is_template else st.none() | LIMITS
    return Table(number, tuple(rules), draw(default), draw(default))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    templates = [draw(tables(number, is_template=True, many=draw(st.booleans()))) for number in (1, 2)]
    count = draw(st.integers(1, 5))
    own = [draw(tables(10 + number, is_template=False, many=False)) for number in range(count)]
    addresses = list(range(101, 101 + count + 2))
    # The last two are on another node.
    here = addresses[:count]
    relay, routes = 201, [301, 302]
    virtual_mtas, made_routes = [], []
    for position, pk in enumerate(addresses):
        # Only to what comes later, so that there are no loops.
        later = [None, None, *addresses[position + 1 :], relay, *routes]
        virtual_mtas.append(
            VirtualMTA(pk, f"w{pk}", "ip_address", draw(st.sampled_from([0, 1, 50, 100])), draw(st.sampled_from(later)))
        )
    virtual_mtas.append(VirtualMTA(relay, "relay", "relay_server", 0))
    for position, pk in enumerate(routes):
        virtual_mtas.append(VirtualMTA(pk, f"route-{pk}", "routing_rule", 0))
        later = [
            *[mta.id for mta in virtual_mtas if mta.kind == "ip_address" and mta.redirect is None],
            relay,
            *routes[position + 1 :],
        ]
        made_routes.append(draw(a_route(pk, later)))
    pools = [
        Pool(pk, f"pool {pk}", tuple(sorted(draw(st.sets(st.sampled_from(addresses), max_size=4))))) for pk in (1, 2, 3)
    ]
    pools.insert(0, Pool(0, "default VirtualMTA", (draw(st.sampled_from([*addresses, relay, *routes])),)))
    sources = tuple(
        Source(pk, f"192.0.2.{pk - 100}", None, f"mta{pk}.example", 10 + position, draw(st.sampled_from([1, 2])))
        for position, pk in enumerate(here)
        if virtual_mtas[position].redirect is None
    )
    tenants = tuple(draw(a_tenant(pk)) for pk in (1, 2))
    policy = Policy(
        node=NodeIdentity(1, "no]]de\n--x", "haraka"),
        revision=draw(st.integers(1, 9)),
        sources=sources,
        virtual_mtas=tuple(virtual_mtas),
        routes=tuple(made_routes),
        tables=(*templates, *own),
        pools=tuple(pools),
        tenants=tenants,
    )
    paused = tuple(sorted(draw(st.sets(st.sampled_from(addresses), max_size=2))))
    suspended = tuple(Suspension(tenant.name) for tenant in tenants if draw(st.integers(0, 4)) == 0)
    deferred = tuple(
        Deferral(tenant.name, datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC), 'Its "limit" is\\ reached')
        for tenant in tenants
        if draw(st.integers(0, 4)) == 0
    )
    patterns = st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True).map(tuple)
    rested = draw(st.lists(st.sampled_from(addresses), max_size=3, unique=True))
    resting = tuple(Rest(pk, draw(patterns)) for pk in sorted(rested))
    return Case(policy, Overlay(1, paused, suspended, deferred, resting=resting))


@st.composite
def a_route(draw: st.DrawFn, pk: int, virtual_mtas: list[int]) -> Route:
    def targets() -> tuple[Target, ...]:
        chosen = draw(st.lists(st.sampled_from(virtual_mtas), min_size=1, max_size=3, unique=True))
        return tuple(Target(mta, draw(st.sampled_from([2_500, 10_000, 33_333]))) for mta in sorted(chosen))

    patterns = draw(st.lists(st.sampled_from(PATTERNS), max_size=4, unique=True))
    overrides = [RouteOverride((pattern,), targets()) for pattern in patterns]
    return Route(pk, draw(st.sampled_from(["random", "message_constant"])), targets(), tuple(overrides))


@st.composite
def a_tenant(draw: st.DrawFn, pk: int) -> Tenant:
    conditions = st.lists(
        st.sampled_from(["a.com", "x.a.com", "b.net", "ann@a.com", "bob@b.net", "o'neil@a.com"]),
        max_size=2,
        unique=True,
    )
    rules = []
    for number in range(draw(st.integers(0, 3))):
        senders, recipients = draw(conditions), draw(conditions)
        if senders or recipients:
            rules.append(PoolRule(number + 1, tuple(senders), tuple(recipients), draw(st.integers(1, 3))))
    return Tenant(
        pk, f"uuid-{pk}", f"acme/mail-{pk}", 1, draw(st.none() | st.integers(0, 3)), tuple(rules),
        is_development=draw(st.integers(0, 5)) == 0,
    )  # fmt: skip
