"""Groups of addresses that can replace each other: a pool, a pool on one node, a branch of a routing rule.

A member that redirects to an address is replaced by it. The groups are what the rails of drains are about: of each, one address
must be able to send.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ippools.models import DeliveryTarget, IPAddress, IPPool, IPPoolMember, RoutingRule, VirtualMTA
from nodes.models import NodeAddress
from throttling.drain import Group


@dataclass(frozen=True, slots=True)
class Sender:
    """An address as far as drains need it; `sends`: it is neither paused nor redirected."""

    id: int
    ipv4: str
    weight: int
    sends: bool


@dataclass(frozen=True, slots=True)
class StandIns:
    """The groups of some addresses, all that are in them, and the pools that each sends for."""

    senders: Mapping[int, Sender] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    pools_of: Mapping[int, tuple[IPPool, ...]] = field(default_factory=dict)
    # By pool id: the addresses that send its mail.
    members: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def of_addresses(concerned: Collection[int]) -> StandIns:
    """Return the groups that these addresses are in. Seven queries, whatever their number."""
    redirects = dict(VirtualMTA.objects.filter(redirect__isnull=False).values_list("pk", "redirect_id"))
    wanted = {*concerned, *(_last(pk, redirects) for pk in concerned)}
    leading = {pk for pk in redirects if _last(pk, redirects) in wanted}
    pools = IPPool.objects.filter(members__ip_address__in=wanted | leading).distinct().order_by("pk")
    found = {pool.pk: pool for pool in pools}
    members: defaultdict[int, set[int]] = defaultdict(set)
    rows = IPPoolMember.objects.filter(pool__in=found)
    for pool_id, pk in rows.values_list("pool_id", "ip_address_id"):
        members[pool_id].add(_last(pk, redirects))
    branches = [(name, ids) for name, ids in _branches(redirects) if not wanted.isdisjoint(ids)]
    everyone = wanted.union(*members.values(), *(ids for _, ids in branches))
    columns = ("pk", "ipv4", "priority", "delivery_paused", "redirect_id")
    senders = {
        pk: Sender(pk, ipv4, priority, sends=not is_paused and redirect is None)
        for pk, ipv4, priority, is_paused, redirect in IPAddress.objects.filter(pk__in=everyone).values_list(*columns)
    }
    addresses = {pool_id: tuple(sorted(ids & senders.keys())) for pool_id, ids in members.items()}
    pools_of: defaultdict[int, list[IPPool]] = defaultdict(list)
    for pool_id, ids in sorted(addresses.items()):
        for pk in ids:
            pools_of[pk].append(found[pool_id])
    # A branch with a relay server among its targets always has a way left.
    routed = [Group(name, tuple(sorted(ids)), None) for name, ids in branches if ids <= senders.keys()]
    return StandIns(
        senders=senders,
        groups=(*_of_pools(found, addresses), *routed),
        pools_of={pk: tuple(each) for pk, each in pools_of.items()},
        members=addresses,
    )


def _of_pools(pools: Mapping[int, IPPool], members: Mapping[int, tuple[int, ...]]) -> Iterable[Group]:
    """Yield the pools, and the parts of them that are on one node: a node sends a pool's mail by its own addresses only."""
    rows = NodeAddress.objects.filter(ip_address__in={pk for ids in members.values() for pk in ids})
    nodes = {pk: (node_id, name) for pk, node_id, name in rows.values_list("ip_address_id", "node_id", "node__name")}
    for pool_id, ids in sorted(members.items()):
        pool = pools[pool_id]
        yield Group(f"pool {pool.name}", ids, pool.drain_share)
        parts: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        for pk in ids:
            if pk in nodes:
                parts[nodes[pk]].append(pk)
        for (_, name), part in sorted(parts.items()):
            if len(part) < len(ids):
                yield Group(f"pool {pool.name} on node {name}", tuple(part), None)


def _branches(redirects: Mapping[int, int]) -> list[tuple[str, set[int]]]:
    """Return where each branch of each routing rule leads, by name; and where the default VirtualMTA does."""
    names = dict(RoutingRule.objects.values_list("pk", "name"))
    targets: defaultdict[tuple[int, int | None], set[int]] = defaultdict(set)
    columns = ("routing_rule_id", "override_id", "virtual_mta_id")
    for rule, override, target in DeliveryTarget.objects.values_list(*columns):
        targets[rule, override].add(_last(target, redirects))
    found = [(f"routing rule {names[rule]}", ids) for (rule, _), ids in sorted(targets.items(), key=str)]
    default = VirtualMTA.objects.filter(is_default=True).values_list("pk", flat=True).first()
    if default is not None and default not in names:
        found.append(("the default VirtualMTA", {_last(default, redirects)}))
    return found


def _last(pk: int, redirects: Mapping[int, int]) -> int:
    """Return where a VirtualMTA's redirects lead."""
    passed = set()
    while pk in redirects and pk not in passed:
        passed.add(pk)
        pk = redirects[pk]
    return pk
