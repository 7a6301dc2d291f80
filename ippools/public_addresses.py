"""The public addresses that receivers see, which differ from the local ones behind NAT. Pure.

SPF, PTR, FCrDNS and HELO are about what receivers see. An address that the Internet does not route (private, loopback,
multicast, 0.0.0.0, link-local) is seen by none of them: it is neither published nor asked about.
"""

import ipaddress
from collections.abc import Iterable

type _Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type _Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The columns of an address in the order in which `seen` and `hidden` take them.
BOUND_AND_PUBLIC = ("ipv4", "ipv6", "public_ipv4", "public_ipv6")
# They represent public addresses in documentation and tests (RFC 5737, 3849, 9637).
_DOCUMENTATION = tuple(
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"))
)


# The only space of which global IPv6 addresses have been given out (RFC 4291, 2.4): NAT64 (64:ff9b::/96) is outside of it.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# 6to4 and its relays, which stand for IPv4 addresses (RFC 7526). Python knows Teredo.
_TRANSITIONAL = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "2002::/16")))


def is_public(text: str) -> bool:
    """Whether the Internet routes mail from this address."""
    address = ipaddress.ip_address(text)
    if _is_in(address, _DOCUMENTATION):
        return True
    if _is_in(address, _TRANSITIONAL) or (
        address.version == _GLOBAL_UNICAST.version and address not in _GLOBAL_UNICAST
    ):
        return False
    return address.is_global and not address.is_multicast


def _is_in(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


def seen(ipv4: str, ipv6: str | None, public_ipv4: str | None, public_ipv6: str | None) -> tuple[str, ...]:
    """Return the addresses that receivers see: per family, the public address, or else the local one if it is public."""
    bound = (public_ipv4 or ipv4, public_ipv6 or ipv6)
    return tuple(each for each in bound if each and is_public(each))


def hidden(ipv4: str, ipv6: str | None, public_ipv4: str | None, public_ipv6: str | None) -> tuple[str, ...]:
    """Return the local addresses that are not public and have no public address."""
    pairs = ((ipv4, public_ipv4), (ipv6, public_ipv6))
    return tuple(each for each, public in pairs if each and not public and not is_public(each))


def public_faults(text: str, *, version: int) -> list[str]:
    """Return why a text is not a public address."""
    try:
        address = (ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(text)
    except ValueError:
        return [f"is not a valid IPv{version} address"]
    # A mapped IPv4 address is not IPv6 on the wire.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return ["is not a valid IPv6 address"]
    return [] if is_public(text) else ["is not a public address: receivers cannot see it"]


def canonical(text: str) -> str:
    """Return an address in its shortest form."""
    return str(ipaddress.ip_address(text))
