"""Validation of VirtualMTA names, IPv4 and IPv6 addresses and host names, by the rules of GreenArrow's page.

Pure. Every interface (form, both APIs, file, paste, command) uses these functions.
"""

import ipaddress
import re

LENGTH = 200
# What DNS can name (RFC 1035, 2.3.4).
LABEL_LENGTH = 63
NAME_CHARACTERS = re.compile(r"[ -~]*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_HOST_CHARACTERS = re.compile(r"[A-Za-z0-9.-]*", re.ASCII)
_QUAD = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)
_NUMBER = r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)"
_NUMBERS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{0,3}}\.?", re.ASCII)


def name_faults(name: str) -> list[str]:
    """Return what is wrong with a VirtualMTA's name, except that it is taken."""
    faults = []
    if not 1 <= len(name) <= LENGTH:
        faults.append(f"must be from 1 to {LENGTH} characters in length")
    if not NAME_CHARACTERS.fullmatch(name) or set(name) & set(",#@"):
        faults.append("must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign")
    if name != name.strip():
        faults.append("must not have leading or trailing whitespace")
    if _INTEGER.fullmatch(name):
        faults.append("must not be an integer")
    return faults


def is_ipv4(text: str) -> bool:
    """Whether this is a dotted-decimal IPv4 address without leading zeros (`010.0.0.1` could mean two things)."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def ipv4_faults(text: str) -> list[str]:
    """Return what is wrong with an IPv4 address."""
    return [] if is_ipv4(text) else ["must be a valid dotted-decimal IPv4 address"]


def canonical_ipv6(text: str) -> str:
    """Return an IPv6 address in its shortest form; raises ValueError where it is none that mail can leave by.

    A zone (`fe80::1%eth0`) belongs to one machine, and a mapped IPv4 address (`::ffff:192.0.2.1`) is not IPv6 on the wire.
    """
    address = ipaddress.IPv6Address(text)
    if address.scope_id is not None or address.ipv4_mapped is not None:
        raise ValueError(text)
    return str(address)


def ipv6_faults(text: str | None) -> list[str]:
    """Return what is wrong with an IPv6 address; None is valid."""
    try:
        if text is not None:
            canonical_ipv6(str(text))
    except ValueError:
        return ["must be null or a valid IPv6 address"]
    return []


def hostname_faults(hostname: str) -> list[str]:
    """Return what is wrong with a host name: it should be labels of letters, digits and hyphens with dots between them."""
    labels = hostname.split(".")
    faults = []
    if not 1 <= len(hostname) <= LENGTH:
        faults.append(f"must be from 1 to {LENGTH} characters in length")
    if not _HOST_CHARACTERS.fullmatch(hostname) or "" in labels[1:-1]:
        faults.append("must contain only letters, numbers and -, in labels with single dots between them")
    # An empty label at an end is a leading or trailing dot; inner ones have been reported.
    if hostname and not all(
        label[:1].isalnum() and label[-1:].isalnum() for label in (labels[0], labels[-1], *filter(None, labels))
    ):
        faults.append("must start and end with a letter or number, and so must each of its labels")
    if any(len(label) > LABEL_LENGTH for label in labels):
        faults.append(f"must have labels of at most {LABEL_LENGTH} characters")
    # GreenArrow: four numbers are meant as an address, whether or not there is such a one.
    if _QUAD.fullmatch(hostname):
        faults.append("must not be an IPv4 address")
    return faults


def is_read_as_address(hostname: str) -> bool:
    """Whether resolvers read a host name as an IPv4 address, as `inet_aton` does `127.1`, `0x7f.1` and `2130706433`.

    GreenArrow: its page allows such names, and so its API takes them; people are refused them.
    """
    return _NUMBERS.fullmatch(hostname) is not None and not is_ipv4(hostname)
