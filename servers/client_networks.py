"""Whose the clients of a network are: SMTP-IP credentials need no key, so a network is all that says who sends.

A node takes mail of a client for the server with the narrowest network. Whoever could have one within another customer's, or
around all that have none, would get mail that is not theirs: only the platform, which knows its customers, may decide that.

So no act of an organization makes an overlap, and what returns with a restored server is held where its addresses are in use by
others by then. An overlap that is there all the same, about which the platform has not decided, is contested: nodes take no
mail by either network, since nothing says which is right.
"""

import datetime
import ipaddress
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from django.db import transaction

from core.errors import Fault, Invalid
from core.locks import advisory
from core.models import KeyQuerySet
from servers.models import Credential

# The shortest prefixes of public networks that people of an organization may have, by IP version.
SHORTEST = {4: 16, 6: 32}

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Claim(NamedTuple):
    """A network that an organization takes mail by; `is_shared`: the platform has decided that it may overlap others."""

    id: int
    network: str
    organization: int
    is_shared: bool


def refuse_foreign(network: Network, *, organization_id: int) -> None:
    """Raise Invalid where the clients of this network are not the organization's to claim; in the caller's transaction.

    Held credentials count: they may be released. Those of deleted servers do not.
    """
    if network.prefixlen < SHORTEST[network.version] and not network.is_private:
        raise Invalid(Fault("network", f"must not be larger than /{SHORTEST[network.version]}: ask the platform"))
    if overlaps_others(network, organization_id=organization_id):
        raise Invalid(Fault("network", "has addresses that are in use by another organization: ask the platform"))


def overlaps_others(network: Network, *, organization_id: int) -> bool:
    """Whether another organization has a network with some of these addresses, until the caller's transaction ends."""
    return bool(overlapping({0: network}, organization_id=organization_id))


def overlapping(networks: Mapping[int, Network], *, organization_id: int) -> set[int]:
    """Return the ids of those of an organization's networks that overlap others', until the caller's transaction ends."""
    serialize()
    of_others = _of_living().exclude(server__organization_id=organization_id).order_by().distinct()
    # Their union, once: a server that returns may have thousands, and others wait for the lock.
    starts: dict[int, list[int]] = {4: [], 6: []}
    ends: dict[int, list[int]] = {4: [], 6: []}
    for each in sorted(map(_read, of_others.values_list("network", flat=True)), key=_place):
        version, start, end = _bounds(each)
        # One that is within the last adds nothing to it.
        if not ends[version] or start > ends[version][-1]:
            starts[version].append(start)
            ends[version].append(end)
    found = set()
    for pk, network in networks.items():
        version, start, end = _bounds(network)
        at = bisect_left(ends[version], start)
        if at < len(starts[version]) and starts[version][at] <= end:
            found.add(pk)
    return found


def serialize() -> None:
    """Let no other transaction compare networks until this one ends: of two organizations that claim one at once, one has it.

    Whoever also locks an organization does so before, and credentials after it: everybody waits for this lock.
    """
    advisory("servers.client_networks")


def contested(claims: Iterable[Claim]) -> set[int]:
    """Return the ids of the claims that overlap another organization's, where neither is shared."""
    # An organization may have one network by thousands of credentials.
    alike: dict[tuple[str, int, bool], list[Claim]] = {}
    for claim in claims:
        alike.setdefault(claim[1:], []).append(claim)
    found: set[tuple[str, int, bool]] = set()
    # Two networks are apart, or one is within the other: each is compared with those around it alone.
    around: list[Claim] = []
    for claim in sorted((each[0] for each in alike.values()), key=lambda each: _place(_read(each.network))):
        network = _read(claim.network)
        while around and not _overlap(network, _read(around[-1].network)):
            around.pop()
        for each in around:
            if each.organization != claim.organization and not (each.is_shared or claim.is_shared):
                found |= {each[1:], claim[1:]}
        around.append(claim)
    return {claim.id for key in found for claim in alike[key]}


@transaction.atomic
def settle(*, at: datetime.datetime) -> int:
    """Write which credentials are contested, and return how many of them are.

    For pages and alerts: nodes get none of those that overlap among their own, whatever is written here.
    """
    serialize()
    usable = _of_living().usable(at).values_list("pk", "network", "server__organization_id", "shares_network")
    found = contested(Claim(*row) for row in usable)
    marked = set(Credential.objects.filter(is_contested=True).values_list("pk", flat=True))
    for ids, is_contested in ((marked - found, False), (found - marked, True)):
        if ids:
            Credential.objects.filter(pk__in=ids).update(is_contested=is_contested)
    return len(found)


def _of_living() -> KeyQuerySet[Credential]:
    return Credential.objects.filter(kind=Credential.Kind.SMTP_IP, server__deleted_at=None)


def _place(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _bounds(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), int(network.broadcast_address)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


@lru_cache(10_000)
def _read(text: str) -> Network:
    return ipaddress.ip_network(text)
