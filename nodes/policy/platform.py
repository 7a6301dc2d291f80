"""Reads the platform's configuration in a constant number of queries; each node's policy is derived from it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from ippools.models import (
    DeliveryTarget,
    DomainOverride,
    IPAddress,
    IPPool,
    IPPoolMember,
    OverrideDomain,
    RoutingRule,
)
from ippools.models import VirtualMTA as VirtualMTARow
from nodes.models import Node, NodeAddress
from nodes.policy.model import (
    NodeIdentity,
    Pool,
    PoolRule,
    Program,
    Route,
    RouteOverride,
    Source,
    Table,
    Target,
    VirtualMTA,
)
from servers.models import IPPoolRule, Server
from stats.ledger.database import CONFIGURATION
from stats.ledger.storage import snapshot
from throttling.limits import LimitRule
from throttling.models import Rule, RuleDomain, RuleSet, ThrottleProgram

_PORTION = 10_000
# Nodes × (addresses, servers and rules) of which a request compiles policies itself: about a second of processor.
MOST_IN_A_REQUEST = 1_000


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A living server, as far as policies need it."""

    id: int
    uuid: str
    name: str
    organization: int
    pool: int | None
    send_limits: tuple[int | None, int | None, int | None]
    is_development: bool


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything by id. `on_node` has the addresses of each node; rules of pools are in the order in which they are tried."""

    nodes: Mapping[int, NodeIdentity]
    on_node: Mapping[int, frozenset[int]]
    default: int | None
    virtual_mtas: Mapping[int, VirtualMTA]
    sources: Mapping[int, Source]
    routes: Mapping[int, Route]
    tables: Mapping[int, Table]
    programs: Mapping[int, Program]
    pools: Mapping[int, Pool]
    servers: Mapping[int, ServerRow]
    rules_of_server: Mapping[int, tuple[PoolRule, ...]]
    rules_of_organization: Mapping[int, tuple[PoolRule, ...]]


def is_large() -> bool:
    """Whether compiling all policies takes longer than a request should: 5 short queries, which count no further than that."""
    left = MOST_IN_A_REQUEST // max(1, Node.objects.count())
    records: tuple[QuerySet[Any], ...] = (
        Server.objects.living(), IPAddress.objects.all(), IPPoolRule.objects.all(), RuleDomain.objects.all(),
    )  # fmt: skip
    for found in records:
        left -= found.order_by()[: left + 1].count()
        if left < 0:
            return True
    return False


def read_platform() -> Platform:
    """Read the platform in one snapshot, with 16 queries."""
    with snapshot(using=CONFIGURATION):
        nodes = {row[0]: NodeIdentity(*row) for row in Node.objects.order_by("pk").values_list("pk", "name", "kind")}
        on_node: dict[int, set[int]] = {pk: set() for pk in nodes}
        for node, address in NodeAddress.objects.order_by().values_list("node_id", "ip_address_id"):
            on_node[node].add(address)
        sources, priorities = _sources()
        virtual_mtas, default = _virtual_mtas(priorities)
        of_server, of_organization = _pool_rules()
        return Platform(
            nodes=nodes,
            on_node={pk: frozenset(addresses) for pk, addresses in on_node.items()},
            default=default,
            virtual_mtas=virtual_mtas,
            sources=sources,
            routes=_routes(),
            tables=_tables(),
            programs={program.id: program for program in _programs()},
            pools=_pools(),
            servers={server.id: server for server in _servers()},
            rules_of_server=of_server,
            rules_of_organization=of_organization,
        )


def _sources() -> tuple[dict[int, Source], dict[int, int]]:
    columns = ("pk", "ipv4", "ipv6", "hostname", "rules_id", "template__rules_id", "priority")
    sources, priorities = {}, {}
    for *row, priority in IPAddress.objects.order_by("pk").values_list(*columns):
        sources[row[0]] = Source(*row)
        priorities[row[0]] = priority
    return sources, priorities


def _virtual_mtas(priorities: Mapping[int, int]) -> tuple[dict[int, VirtualMTA], int | None]:
    virtual_mtas, default = {}, None
    rows = VirtualMTARow.objects.order_by("pk").values_list("pk", "name", "kind", "redirect_id", "is_default")
    for pk, name, kind, redirect, is_default in rows:
        virtual_mtas[pk] = VirtualMTA(pk, name, kind, priorities.get(pk, 0), redirect)
        if is_default:
            default = pk
    return virtual_mtas, default


def _routes() -> dict[int, Route]:
    targets: defaultdict[tuple[int, int | None], list[Target]] = defaultdict(list)
    columns = ("routing_rule_id", "override_id", "virtual_mta_id", "portion_of_mail")
    for rule, override, mta, portion in DeliveryTarget.objects.order_by("virtual_mta_id").values_list(*columns):
        targets[rule, override].append(Target(mta, int(portion * _PORTION)))
    patterns: defaultdict[int, list[str]] = defaultdict(list)
    for override, pattern in OverrideDomain.objects.order_by("position").values_list("override_id", "pattern"):
        patterns[override].append(pattern)
    overrides: defaultdict[int, list[RouteOverride]] = defaultdict(list)
    for pk, rule in DomainOverride.objects.order_by("pk").values_list("pk", "routing_rule_id"):
        overrides[rule].append(RouteOverride(tuple(patterns[pk]), tuple(targets[rule, pk])))
    rows = RoutingRule.objects.order_by("pk").values_list("pk", "randomization_type")
    return {pk: Route(pk, randomization, tuple(targets[pk, None]), tuple(overrides[pk])) for pk, randomization in rows}


def _tables() -> dict[int, Table]:
    patterns: defaultdict[int, list[str]] = defaultdict(list)
    for rule, pattern in RuleDomain.objects.order_by("rule_id", "position").values_list("rule_id", "pattern"):
        patterns[rule].append(pattern)
    rules: defaultdict[int, list[LimitRule]] = defaultdict(list)
    columns = ("rule_set_id", "pk", "max_concurrent_connections", "max_messages_per_hour", "throttle_program_id")
    for table, pk, connections, messages, program in Rule.objects.order_by("pk").values_list(*columns):
        rules[table].append(LimitRule(pk, tuple(patterns.pop(pk, ())), connections, messages, program))
    rows = RuleSet.objects.order_by("pk").values_list("pk", "max_concurrent_connections", "max_messages_per_hour")
    return {pk: Table(pk, tuple(rules.pop(pk, ())), *default) for pk, *default in rows}


def _programs() -> Iterable[Program]:
    columns = (
        "pk",
        "name",
        "backoff_connections_mode",
        "backoff_connections_value",
        "backoff_messages_mode",
        "backoff_messages_value",
        "return_after_seconds",
        "failure_rate",
        "deferral_rate",
    )
    return [Program(*row) for row in ThrottleProgram.objects.order_by("pk").values_list(*columns)]


def _pools() -> dict[int, Pool]:
    members: defaultdict[int, list[int]] = defaultdict(list)
    for pool, address in IPPoolMember.objects.order_by("ip_address_id").values_list("pool_id", "ip_address_id"):
        members[pool].append(address)
    rows = IPPool.objects.order_by("pk").values_list("pk", "name")
    return {pk: Pool(pk, name, tuple(members[pk])) for pk, name in rows}


def _servers() -> list[ServerRow]:
    columns = (
        "pk", "uuid", "organization__permalink", "permalink", "organization_id", "ip_pool_id", "mode",
        "send_limit", "send_limit_a_day", "send_limit_a_month",
    )  # fmt: skip
    return [
        ServerRow(pk, str(uuid), f"{owner}/{name}", owner_id, pool, (hour, day, month), mode == Server.Mode.DEVELOPMENT)
        for pk, uuid, owner, name, owner_id, pool, mode, hour, day, month in Server.objects.living()
        .order_by("pk")
        .values_list(*columns)
    ]


def _pool_rules() -> tuple[dict[int, tuple[PoolRule, ...]], dict[int, tuple[PoolRule, ...]]]:
    by_owner: tuple[defaultdict[int, list[PoolRule]], ...] = (defaultdict(list), defaultdict(list))
    columns = ("server_id", "organization_id", "pk", "from_conditions", "to_conditions", "pool_id")
    rows = IPPoolRule.objects.order_by("position", "pk").values_list(*columns)
    for server, organization, pk, senders, recipients, pool in rows:
        rule = PoolRule(pk, _lines(senders), _lines(recipients), pool)
        by_owner[0 if server is not None else 1][server or organization].append(rule)
    of_server, of_organization = ({pk: tuple(rules) for pk, rules in each.items()} for each in by_owner)
    return of_server, of_organization


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
