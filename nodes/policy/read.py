"""Derives the policy of a node from the platform's configuration, and reads the overlay."""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import DatabaseError
from django.db.models import Q, QuerySet

from core.sql_lists import ids
from ippools import caps, drains
from ippools.models import AddressDrain, IPAddress
from nodes.policy.model import (
    DEFAULT_POOL,
    Deferral,
    Overlay,
    Policy,
    Pool,
    Rest,
    SmtpKey,
    SmtpNetwork,
    Suspension,
    Tenant,
)
from nodes.policy.platform import Platform, ServerRow
from nodes.stand_ins import of_addresses
from servers import send_limits
from servers.client_networks import Claim, contested
from servers.models import Credential, SendLimitMark, Server
from stats import warm_up
from stats.ledger.database import CONFIGURATION, has_failed
from stats.ledger.storage import snapshot
from throttling.limits import CapKind

_DEFAULT_NAME = "default VirtualMTA"


def policy_of(platform: Platform, node_id: int, *, revision: int) -> Policy:
    """Derive a node's policy from the platform: the VirtualMTAs that lead to its addresses, and its servers."""
    here = platform.on_node[node_id]
    reaching = _reaching(platform, here)
    sending = {pk for pk, pool in platform.pools.items() if not (reaching | here).isdisjoint(pool.members)}
    if platform.default in reaching:
        sending.add(DEFAULT_POOL)
    tenants = tuple(_tenants(platform, sending))
    used = sending.union(*({tenant.pool} if tenant.pool is not None else () for tenant in tenants))
    used = used.union(rule.pool for tenant in tenants for rule in tenant.rules)
    pools = tuple(_pool(platform, pk) for pk in sorted(used))
    # A source that redirects sends nothing itself.
    sources = tuple(platform.sources[pk] for pk in sorted(here) if platform.virtual_mtas[pk].redirect is None)
    reached = _reached(platform, [*here, *(member for pool in pools for member in pool.members)])
    tables = {table for source in sources for table in (source.own, source.template)}
    programs = {rule.throttle_program_id for table in tables for rule in platform.tables[table].rules} - {None}
    return Policy(
        node=platform.nodes[node_id],
        revision=revision,
        sources=sources,
        virtual_mtas=tuple(platform.virtual_mtas[pk] for pk in sorted(reached)),
        routes=tuple(platform.routes[pk] for pk in sorted(reached & platform.routes.keys())),
        tables=tuple(platform.tables[pk] for pk in sorted(tables)),
        programs=tuple(program for pk, program in platform.programs.items() if pk in programs),
        pools=pools,
        tenants=tenants,
    )


def _pool(platform: Platform, pk: int) -> Pool:
    if pk == DEFAULT_POOL:
        return Pool(DEFAULT_POOL, _DEFAULT_NAME, () if platform.default is None else (platform.default,))
    return platform.pools[pk]


def _reaching(platform: Platform, here: Collection[int]) -> set[int]:
    """Return the VirtualMTAs whose mail leaves, or may leave, by one of these addresses."""
    before: defaultdict[int, list[int]] = defaultdict(list)
    for mta in platform.virtual_mtas.values():
        if mta.redirect is not None:
            before[mta.redirect].append(mta.id)
    for route in platform.routes.values():
        for branch in (route.targets, *(override.targets for override in route.overrides)):
            for target in branch:
                before[target.virtual_mta].append(route.id)
    return _closure((pk for pk in here if platform.virtual_mtas[pk].redirect is None), before)


def _reached(platform: Platform, starts: Iterable[int]) -> set[int]:
    """Return the VirtualMTAs that mail meant for these may come to."""
    after: dict[int, list[int]] = {
        mta.id: [mta.redirect] for mta in platform.virtual_mtas.values() if mta.redirect is not None
    }
    for route in platform.routes.values():
        branches = (route.targets, *(override.targets for override in route.overrides))
        after[route.id] = [target.virtual_mta for branch in branches for target in branch]
    return _closure(starts, after)


def _closure(starts: Iterable[int], edges: Mapping[int, list[int]]) -> set[int]:
    waiting = list(starts)
    found = set(waiting)
    while waiting:
        for each in edges.get(waiting.pop(), ()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def _tenants(platform: Platform, sending: Collection[int]) -> Iterable[Tenant]:
    """Yield the servers that send by this node, by id; and of their organizations those that have nothing to send by, so that
    their mail is refused with a sentence."""
    found = {tenant.id: tenant for tenant in _senders(platform, sending)}
    organizations = {tenant.organization for tenant in found.values()}
    for server in platform.servers.values():
        if server.id in found:
            yield found[server.id]
        elif server.organization in organizations and platform.default is None and _has_nothing(platform, server):
            yield _tenant(server, None, ())


def _has_nothing(platform: Platform, server: ServerRow) -> bool:
    rules = platform.rules_of_server.get(server.id, ()) or platform.rules_of_organization.get(server.organization, ())
    return server.pool is None and not rules


def _senders(platform: Platform, sending: Collection[int]) -> Iterable[Tenant]:
    for server in platform.servers.values():
        own = platform.rules_of_server.get(server.id, ())
        rules = own + platform.rules_of_organization.get(server.organization, ())
        pool = server.pool
        if pool is None and platform.default is not None:
            pool = DEFAULT_POOL
        if pool in sending or any(rule.pool in sending for rule in rules):
            yield _tenant(server, pool, rules)


def _tenant(server: ServerRow, pool: int | None, rules: Any) -> Tenant:
    return Tenant(
        id=server.id,
        uuid=server.uuid,
        name=server.name,
        organization=server.organization,
        pool=pool,
        rules=rules,
        send_limit=server.send_limits[0],
        send_limit_a_day=server.send_limits[1],
        send_limit_a_month=server.send_limits[2],
        is_development=server.is_development,
    )


# --- The overlay -----------------------------------------------------------------------------------------------------


def read_overlay(*, virtual_mtas: Collection[int], servers: Mapping[int, str], at: datetime.datetime) -> Overlay:
    """Read what applies on top of a policy with these VirtualMTAs and servers. Its number is not known here.

    The servers come with their names in the policy, which keeps former names until the next one is published: with other names
    the overlay would end the servers' log-ins, and would not suspend them.

    5 queries; one more if a send limit is reached, five more if an address is warmed up, nine more if one is drained.
    """
    with snapshot(using=CONFIGURATION):
        paused = IPAddress.objects.filter(pk__in=ids(virtual_mtas), delivery_paused=True).order_by("pk")
        columns = ("pk", "suspended_at", "suspended_until", "organization__suspended_at")
        is_suspended = Q(suspended_at__isnull=False) | Q(organization__suspended_at__isnull=False)
        reached = send_limits.marked(at=at).filter(level=send_limits.Level.EXCEEDED)
        # Both kinds by one query: most of the time there are none.
        is_stopped = is_suspended | Q(pk__in=reached.order_by().values("server_id"))
        stopped = list(
            Server.objects.living().filter(is_stopped, pk__in=ids(servers)).order_by("pk").values_list(*columns)
        )
        found_caps = caps.obeyed_by_nodes(virtual_mtas, at=at)
        warming = [pk for pk, found in found_caps.items() if any(cap.kind == CapKind.WARM_UP for cap in found)]
        credentials = (
            Credential.objects.usable(at)
            .filter(kind__in=[Credential.Kind.SMTP, Credential.Kind.SMTP_IP])
            .filter(server_id__in=ids(servers), server__deleted_at=None, is_contested=False)
            .order_by("pk")
        )
        keys, networks = [], []
        of_claim = ("server__organization_id", "shares_network")
        for pk, digest, network, server, expires_at, organization, is_shared in credentials.values_list(
            "pk", "key_digest", "network", "server_id", "expires_at", *of_claim
        ):
            if digest is None:
                claim = Claim(pk, network, organization, is_shared)
                networks.append((claim, SmtpNetwork(pk, network, servers[server], expires_at)))
            else:
                keys.append(SmtpKey(pk, digest, servers[server], expires_at))
        # Also of what nobody has marked yet.
        refused = contested(claim for claim, _ in networks)
        return Overlay(
            paused=tuple(paused.values_list("pk", flat=True)),
            suspended=tuple(_suspensions(stopped, servers, at)),
            deferred=tuple(_deferrals(reached, {pk: servers[pk] for pk, *_ in stopped})),
            keys=tuple(keys),
            networks=tuple(network for claim, network in networks if claim.id not in refused),
            caps={pk: tuple(found) for pk, found in sorted(found_caps.items())},
            resting=_resting(virtual_mtas, warming, at),
        )


def _resting(virtual_mtas: Collection[int], warming: Collection[int], at: datetime.datetime) -> tuple[Rest, ...]:
    """Return which sources have no part in draws: their warm-up allows no more before the next hour, or they are drained."""
    full = [Rest(each.address_id, each.domains, each.until) for each in (_used_up(warming, at) if warming else ())]
    resting = {each.source for each in full if not each.domains}
    drained = [Rest(each.address_id, tuple(each.domains)) for each in _drained(virtual_mtas, resting)]
    return tuple(sorted({*full, *drained}, key=lambda each: (each.source, each.domains, str(each.until))))


def _used_up(warming: Collection[int], at: datetime.datetime) -> list[warm_up.Resting]:
    """Return which addresses have used their part of the day. While the counts' own database is away that is not known: their
    hourly caps hold then, and pauses and suspensions do not wait for counts."""
    try:
        return warm_up.resting(warming, at)
    except DatabaseError:
        if not has_failed():
            raise
        return []


def _drained(virtual_mtas: Collection[int], resting: Collection[int]) -> Iterable[AddressDrain]:
    """Yield the drains that apply. Where nothing else could send for a while (the others were paused since it was decided, or
    rest), what is drained sends: mail does not wait for a decision that is a minute old."""
    found = drains.in_effect(virtual_mtas)
    if not found:
        return
    stand_ins = of_addresses([each.address_id for each in found])
    gone = {each.address_id for each in drains.in_effect(stand_ins.senders)}
    needed: set[int] = set()
    for group in stand_ins.groups:
        left = (stand_ins.senders[pk] for pk in group.members if pk not in gone and pk not in resting)
        if not any(sender.sends for sender in left):
            needed.update(group.members)
    yield from (each for each in found if each.address_id not in needed)


def _deferrals(reached: QuerySet[SendLimitMark], servers: Mapping[int, str]) -> Iterable[Deferral]:
    """Yield one for each of the servers that has reached a limit: the one that ends last. No query without servers."""
    seen = set()
    for mark in reached.filter(server_id__in=ids(servers)) if servers else ():
        if mark.server_id not in seen:
            seen.add(mark.server_id)
            yield Deferral(
                servers[mark.server_id],
                mark.until,
                f"This server has reached its send limit of {mark.limit} messages {mark.get_period_display()};"
                f" try again after {send_limits.clock(mark.until)}",
            )


def _suspensions(rows: Iterable[Any], servers: Mapping[int, str], at: datetime.datetime) -> Iterable[Suspension]:
    for server, suspended_at, until, organization_suspended_at in rows:
        if organization_suspended_at is not None:
            yield Suspension(servers[server])
        elif suspended_at is not None and (until is None or until > at):
            yield Suspension(servers[server], until)
