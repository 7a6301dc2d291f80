"""The attributes that several kinds of VirtualMTA share, read without trust."""

import ipaddress
import re
from typing import Any

from core.attributes import ABSENT, Attributes
from core.names import fold
from ippools import hostnames
from ippools.addresses import is_ipv4
from ippools.models import VirtualMTA

NAME_LENGTH = 200
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def read_name(attributes: Attributes, *, pk: int | None) -> Any:
    """Return the name of a VirtualMTA as GreenArrow's page wants it, with a fault for each rule it breaks."""
    name = _string(attributes, "name")
    if name is ABSENT:
        return ABSENT
    faults = []
    if not 1 <= len(name) <= NAME_LENGTH:
        faults.append(f"must be from 1 to {NAME_LENGTH} characters in length")
    if not _PRINTABLE.fullmatch(name) or set(name) & set(",#@"):
        faults.append("must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign")
    if name != name.strip():
        faults.append("must not have leading or trailing whitespace")
    if _INTEGER.fullmatch(name):
        faults.append("must not be an integer")
    if not faults and VirtualMTA.objects.filter(name_key=fold(name)).exclude(pk=pk or 0).exists():
        faults.append("has already been taken")
    for message in faults:
        attributes.fault("name", message)
    return ABSENT if faults else name


def read_hostname(attributes: Attributes, name: str, *, may_be_ipv4: bool = False) -> Any:
    """Return a host name: labels of letters, digits and hyphens with dots between them, as it was written."""
    value = _string(attributes, name)
    if value is ABSENT or (may_be_ipv4 and is_ipv4(value)):
        return value
    faults = hostnames.faults_of(value)
    for message in faults:
        attributes.fault(name, message)
    return ABSENT if faults else value


def read_ipv4(attributes: Attributes, name: str) -> Any:
    """Return a dotted-decimal IPv4 address; leading zeros are refused, because they have two meanings."""
    value = _string(attributes, name)
    if value is not ABSENT and not is_ipv4(value):
        return attributes.fault(name, "must be a valid dotted-decimal IPv4 address")
    return value


def read_ipv6(attributes: Attributes, name: str) -> Any:
    """Return an IPv6 address in its shortest form, or None."""
    value = attributes.value(name, is_required=False)
    if value is ABSENT or value is None:
        return value
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError(value)
        return str(ipaddress.IPv6Address(value))
    except ValueError:
        return attributes.fault(name, "must be null or a valid IPv6 address")


def _string(attributes: Attributes, name: str) -> Any:
    """Return a string of any characters: the caller's own rules say which, in better words."""
    value = attributes.value(name)
    if value is ABSENT or isinstance(value, str):
        return value
    return attributes.fault(name, "is required" if value is None else "must be a string")
