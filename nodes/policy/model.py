"""The policy of one node as frozen dataclasses: built from rows by `nodes.policy.read`, and the only input of the compilers.

A `Policy` holds what a revision fixes; an `Overlay` what changes without one: pauses, suspensions,
reached send limits, credentials, caps, addresses that rest.
Ids are those of the rows. Every tuple is sorted (by id, or in the order in which its elements are tried), so equal policies are
equal values with equal digests.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from throttling.domains import patterns_matching
from throttling.limits import Cap, LimitRule, LimitTable

# The id of the pool of servers that have none: the default VirtualMTA.
DEFAULT_POOL = 0
SUSPENDED = "This server is suspended"


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The node of the policy."""

    id: int
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class VirtualMTA:
    """A VirtualMTA that this node's pools can refer to, on any node; `kind` as in ippools."""

    id: int
    name: str
    kind: str
    # Of an address: its weight in every pool, 0 to 100. Of another kind: 0.
    priority: int
    # The VirtualMTA by which its mail leaves instead.
    redirect: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """An address on this node. `own` and `template` are ids of tables."""

    id: int
    ipv4: str
    ipv6: str | None
    hostname: str
    own: int
    template: int


@dataclass(frozen=True, slots=True)
class Target:
    """A share of a routing rule's mail; `portion` is in ten-thousandths."""

    virtual_mta: int
    portion: int


@dataclass(frozen=True, slots=True)
class RouteOverride:
    """Other targets for some recipient domains (normalized patterns)."""

    patterns: tuple[str, ...]
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A routing rule: targets, and its exceptions; `randomization` as in ippools."""

    id: int
    randomization: str
    targets: tuple[Target, ...]
    overrides: tuple[RouteOverride, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A rule set: of an address (a None in its default is the template's to fill) or of a template."""

    id: int
    rules: tuple[LimitRule, ...]
    max_concurrent_connections: int | None
    max_messages_per_hour: int | None

    def limit_table(self) -> LimitTable:
        """Return it indexed, as `throttling.limits.effective` wants it."""
        return LimitTable.of(
            self.rules,
            max_concurrent_connections=self.max_concurrent_connections,
            max_messages_per_hour=self.max_messages_per_hour,
        )


@dataclass(frozen=True, slots=True)
class Program:
    """A throttle program that a rule of these tables has."""

    id: int
    name: str
    connections_mode: str
    connections_value: int
    messages_mode: str
    messages_value: int
    return_after_seconds: int
    failure_rate: int | None
    deferral_rate: int | None


@dataclass(frozen=True, slots=True)
class Pool:
    """A group of addresses; `members` are ids of VirtualMTAs, those on other nodes too."""

    id: int
    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolRule:
    """A tenant's mail between certain addresses or domains is sent by another pool.

    A condition with `@` is an address without its +tag, else a domain. None of a kind: any. Both kinds: both must match.
    """

    id: int
    senders: tuple[str, ...]
    recipients: tuple[str, ...]
    pool: int


class RuleLists:
    """Numbers of lists of rules, from 0. Servers share their organization's: its thousands of conditions are looked at once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[PoolRule, ...], int] = {}
        self._by_identity: dict[int, int] = {}

    def of(self, rules: tuple[PoolRule, ...]) -> int:
        """Return the number of a list, which must live as long as this."""
        if id(rules) not in self._by_identity:
            self._by_identity[id(rules)] = self._numbers.setdefault(rules, len(self._numbers))
        return self._by_identity[id(rules)]

    @property
    def lists(self) -> list[tuple[PoolRule, ...]]:
        """Return the lists in the order of their numbers."""
        return list(self._numbers)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A server that can send from this node.

    `name` is the user name of its SMTP credentials, `organization/server`; `rules` are in the order in which they are tried.
    """

    id: int
    uuid: str
    name: str
    organization: int
    # None: only what a rule sends elsewhere can leave.
    pool: int | None
    rules: tuple[PoolRule, ...] = ()
    # Messages sent in a UTC hour, day and month; None: no limit.
    send_limit: int | None = None
    send_limit_a_day: int | None = None
    send_limit_a_month: int | None = None
    # A server in development mode holds all mail, which a node cannot: it takes none from it.
    is_development: bool = False

    @property
    def has_send_limit(self) -> bool:
        """Whether any number of messages is not the limit."""
        limits = self.send_limit, self.send_limit_a_day, self.send_limit_a_month
        return any(limit is not None for limit in limits)


@dataclass(frozen=True)
class Policy:
    """The policy of one node in a revision."""

    node: NodeIdentity
    revision: int
    sources: tuple[Source, ...] = ()
    virtual_mtas: tuple[VirtualMTA, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: tuple[Table, ...] = ()
    programs: tuple[Program, ...] = ()
    pools: tuple[Pool, ...] = ()
    tenants: tuple[Tenant, ...] = ()

    # Indexes: computed once, and no part of the value.

    @cached_property
    def source_of(self) -> Mapping[int, Source]:
        return {source.id: source for source in self.sources}

    @cached_property
    def virtual_mta_of(self) -> Mapping[int, VirtualMTA]:
        return {mta.id: mta for mta in self.virtual_mtas}

    @cached_property
    def route_of(self) -> Mapping[int, Route]:
        return {route.id: route for route in self.routes}

    @cached_property
    def pool_of(self) -> Mapping[int, Pool]:
        return {pool.id: pool for pool in self.pools}

    @cached_property
    def limit_table_of(self) -> Mapping[int, LimitTable]:
        return {table.id: table.limit_table() for table in self.tables}

    @cached_property
    def rule_names(self) -> Mapping[int, str]:
        """Throttling rules in words: by their first domain."""
        rules = {rule.id: rule.domains for table in self.tables for rule in table.rules}
        return {
            pk: domains[0] + (f" and {len(domains) - 1} more" if len(domains) > 1 else "")
            for pk, domains in rules.items()
            if domains
        }


@dataclass(frozen=True, slots=True)
class Suspension:
    """A suspended tenant; `until` None: until it is resumed."""

    tenant: str
    until: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Deferral:
    """That a tenant's mail waits until a time; `reason` is the sentence that clients are answered."""

    tenant: str
    until: datetime.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """That a source has no part in draws, because its warm-up allows no more until a time, or because it is drained.

    `domains` are normalized patterns of recipients' domains; none: all.
    """

    source: int
    domains: tuple[str, ...] = ()
    until: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class SmtpKey:
    """An SMTP credential: the SHA-256 of its key, as 64 hexadecimal digits."""

    id: int
    digest: str
    tenant: str
    expires_at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class SmtpNetwork:
    """An SMTP-IP credential: clients of this network (CIDR) need no key."""

    id: int
    network: str
    tenant: str
    expires_at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Overlay:
    """Changes on top of a revision, with their own number. Held and deleted credentials are absent."""

    number: int = 0
    # Ids of addresses whose delivery is paused, on this node or on another that redirects here.
    paused: tuple[int, ...] = ()
    suspended: tuple[Suspension, ...] = ()
    # Those whose send limit is reached, each once.
    deferred: tuple[Deferral, ...] = ()
    keys: tuple[SmtpKey, ...] = ()
    networks: tuple[SmtpNetwork, ...] = ()
    # What bounds an address below its rules just now (back-off, …), by the address's id, oldest first.
    caps: Mapping[int, tuple[Cap, ...]] = field(default_factory=dict)

    resting: tuple[Rest, ...] = ()

    def resting_at(self, domain: str) -> frozenset[int]:
        """Return the sources that rest for mail to a (normalized) domain."""
        if not self.resting:
            return frozenset()
        patterns = set(patterns_matching(domain))
        return frozenset(
            each.source for each in self.resting if not each.domains or patterns.intersection(each.domains)
        )

    def deferrals(self) -> dict[str, str]:
        """Return the tenants whose mail is deferred just now, suspended ones too, with the sentence for clients."""
        return {each.tenant: each.reason for each in self.deferred} | {
            each.tenant: SUSPENDED for each in self.suspended
        }
