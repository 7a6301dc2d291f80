"""Whose the clients of a network are: SMTP-IP credentials need no key, so a network is all that says who sends.

A node takes mail of a client for the server with the narrowest network. Whoever could have one within another customer's, or
around all that have none, would get mail that is not theirs: only the platform, which knows its customers, may decide that.

An organization is not told that a network is another's, nor whose: whatever it may not add by itself is refused in the same
words, also after so many attempts a day (servers/guesses.py). A single refusal tells something all the same: a client is of one
organization.

So no act of an organization makes an overlap, and what returns with a restored server is held where its addresses are in use by
others by then. An overlap that is there all the same, about which the platform has not decided, is contested: nodes take no
mail by either network, since nothing says which is right.
"""

import datetime
import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import batched, chain
from typing import NamedTuple

from django.db import connection, transaction

from core.errors import Fault, Invalid
from core.locks import advisory
from core.models import KeyQuerySet
from core.sql_lists import ids
from servers.models import Credential
from servers.models.credential import first_key, network_key

# The shortest prefixes of public networks that people of an organization may have, by IP version.
SHORTEST = {4: 16, 6: 32}
NOT_BY_ITSELF = Fault("network", "cannot be added by the organization itself: ask the platform to add it")
# Spans of keys that one statement looks up.
_SPANS = 1_000
# For each span, whether another organization has a key in it, by an index: LIMIT keeps PostgreSQL from joining the spans with
# all networks.
_FOREIGN = """
    SELECT span.column1, span.column2 FROM (VALUES {spans}) AS span
    WHERE (
        SELECT 1 FROM servers_credential AS other JOIN servers_server AS server ON server.id = other.server_id
        WHERE other.kind = 'smtp_ip' AND other.network_key >= span.column1 AND other.network_key <= span.column2
            AND server.deleted_at IS NULL AND server.organization_id <> %s
        LIMIT 1
    ) = 1
"""

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
        raise Invalid(NOT_BY_ITSELF)


def overlaps_others(network: Network, *, organization_id: int) -> bool:
    """Whether another organization has a network with some of these addresses, until the caller's transaction ends."""
    return bool(overlapping({0: network}, organization_id=organization_id))


def overlapping(networks: Mapping[int, Network], *, organization_id: int) -> set[int]:
    """Return the ids of those of an organization's networks that overlap others', until the caller's transaction ends."""
    serialize()
    # Two networks are apart, or one is within the other: those around it have one of a few keys, those within follow its own.
    asked: dict[tuple[str, str], set[int]] = defaultdict(set)
    for pk, network in networks.items():
        asked[first_key(network), f"{network.version}{network.broadcast_address.packed.hex()}999"].add(pk)
        for length in range(network.prefixlen):
            key = network_key(network.supernet(new_prefix=length))
            asked[key, key].add(pk)
    found = set()
    for spans in batched(asked, _SPANS):
        with connection.cursor() as cursor:
            query = _FOREIGN.format(spans=", ".join(["(%s, %s)"] * len(spans)))
            cursor.execute(query, [*chain.from_iterable(spans), organization_id])
            found |= {pk for span in cursor.fetchall() for pk in asked[span]}
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


def settle(*, at: datetime.datetime) -> int:
    """Write which credentials are contested, and return how many of them are.

    For pages and alerts: nodes get none of those that overlap among their own, whatever is written here. All networks are read
    before others have to wait; what changes meanwhile is settled by the next run.
    """
    usable = _of_living().usable(at).values_list("pk", "network", "server__organization_id", "shares_network")
    found = contested(Claim(*row) for row in usable)
    marked = set(Credential.objects.filter(is_contested=True).values_list("pk", flat=True))
    _fill_keys()
    if found != marked:
        with transaction.atomic():
            serialize()
            for pks, is_contested in ((marked - found, False), (found - marked, True)):
                Credential.objects.filter(pk__in=ids(pks)).update(is_contested=is_contested)
    return len(found)


def _fill_keys() -> None:
    """Give those a key that a version before this one made, during an upgrade."""
    for each in Credential.objects.filter(kind=Credential.Kind.SMTP_IP, network_key=""):
        each.save(update_fields=["network_key"])


def _of_living() -> KeyQuerySet[Credential]:
    return Credential.objects.filter(kind=Credential.Kind.SMTP_IP, server__deleted_at=None)


def _place(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


@lru_cache(10_000)
def _read(text: str) -> Network:
    return ipaddress.ip_network(text)
