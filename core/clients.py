"""The client address of a request, behind trusted proxies."""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: HttpRequest) -> str:
    """Return the client's IP address, or "" if there is none (a Unix socket).

    X-Forwarded-For counts only as far as it was written by a proxy of SLUICE_TRUSTED_PROXIES: it is read from its end, and the
    first address that is no trusted proxy is the client. What a client itself wrote stands further left and is not believed.
    """
    trusted = _networks(tuple(settings.SLUICE_TRUSTED_PROXIES))
    found = _address(request.META.get("REMOTE_ADDR", ""))
    if found is None or not _is_within(found, trusted):
        return str(found or "")
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _address(_without_port(hop.strip()))
        if address is None:
            break
        found = address
        if not _is_within(address, trusted):
            break
    return str(found)


def comes_by_trusted_proxy(request: HttpRequest) -> bool:
    """Return whether the other end of the connection is a proxy of SLUICE_TRUSTED_PROXIES."""
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    return peer is not None and _is_within(peer, _networks(tuple(settings.SLUICE_TRUSTED_PROXIES)))


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv6 client has 2^64 addresses."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else address


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def _without_port(hop: str) -> str:
    """Return a hop without the port that some proxies write: 192.0.2.1:51324, [2001:db8::1]:51324.

    Unread, all of their clients would count as the proxy, and one could lock all of them out.
    """
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


# The same few clients, or proxies, come again and again; reading an address takes longer than all else that is done with it.
@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A dual-stack socket shows 192.0.2.1 as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address


def _is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
