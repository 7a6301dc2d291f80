"""Addresses that webhooks can be called at: those of the public internet, and of networks that the platform allows.

A customer chooses the URL, and the platform's machine makes the call: without this a webhook would be a way into the
platform's own network.
"""

import ipaddress
from collections.abc import Sequence

from django.conf import settings

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Addresses that the registries call global and that are not a customer's receiver.
_NOT_PUBLIC: tuple[Network, ...] = (
    # Azure's platform services, at every one of its machines.
    ipaddress.ip_network("168.63.129.16/32"),
    # Relays of 6to4 (RFC 7526).
    ipaddress.ip_network("192.88.99.0/24"),
    # Documentation (RFC 9637).
    ipaddress.ip_network("3fff::/20"),
)
# The only space of which global IPv6 addresses have been given out (RFC 4291, 2.4).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Prefixes whose addresses mean an IPv4 address: where its bytes begin. (RFC 4291, 2.5.5; RFC 6052; RFC 3056.)
_MEANS_IPV4: tuple[tuple[ipaddress.IPv6Network, int], ...] = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 12),
    (ipaddress.IPv6Network("::/96"), 12),
    (ipaddress.IPv6Network("64:ff9b::/96"), 12),
    (ipaddress.IPv6Network("2002::/16"), 2),
)


class NotAllowed(Exception):
    """The address is not one that a webhook may be called at."""


def allowed_networks() -> list[Network]:
    """Return the networks that SLUICE_WEBHOOK_NETWORKS allows besides the public internet."""
    return [ipaddress.ip_network(each) for each in settings.SLUICE_WEBHOOK_NETWORKS]


def check(addresses: Sequence[str]) -> list[Address]:
    """Return the addresses of a name if each of them may be connected to; raises NotAllowed.

    One that may not refuses all: a name that has both is no honest receiver's.
    """
    networks = allowed_networks()
    found = [ipaddress.ip_address(each) for each in addresses]
    for address in found:
        if not is_allowed(address, networks):
            raise NotAllowed(f"{address} is not a public address")
    return found


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether the address is public, or in one of the networks.

    An IPv6 address that means an IPv4 address is allowed only where a network of the platform's says so of its prefix, and
    the IPv4 address is allowed itself.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        for prefix, start in _MEANS_IPV4:
            if address in prefix and address != ipaddress.IPv6Address("::1"):
                inner = ipaddress.IPv4Address(address.packed[start : start + 4])
                return _is_in(address, networks) and is_allowed(inner, networks)
    return _is_in(address, networks) or _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not _is_in(address, _NOT_PUBLIC)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
