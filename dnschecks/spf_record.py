"""Parses SPF records completely before evaluation (RFC 7208, 4.6)."""

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from dnschecks.quoting import cut
from dnschecks.spf_macros import BadMacro, MacroString, domain_spec, macro_string

# A record begins with the version, and a blank or the end follows (4.5).
_VERSION = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)\Z", re.DOTALL)
_MECHANISM = re.compile(r"([-+~?]?)([A-Za-z0-9_.-]+)(.*)\Z", re.DOTALL)
# [ ":" domain-spec ] [ "/" ip4-length ] [ "//" ip6-length ]
_TARGET_AND_CIDR = re.compile(r"(?::(?P<domain>.*?))?(?:/(?P<four>[0-9]+))?(?://(?P<six>[0-9]+))?\Z", re.DOTALL)
_IPV4 = re.compile(r":(?P<address>[0-9.]+)(?:/(?P<length>[0-9]+))?\Z")
_IPV6 = re.compile(r":(?P<address>[0-9A-Fa-f:.]+)(?:/(?P<length>[0-9]+))?\Z")

# Of longer records, which few domains have, nothing is remembered: zones choose how long they are.
_LONGEST_REMEMBERED = 4_096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Qualifier(StrEnum):
    """The result of a mechanism for matching addresses."""

    PASS = "+"  # noqa: S105 - no password
    FAIL = "-"
    SOFTFAIL = "~"
    NEUTRAL = "?"


class BadRecord(ValueError):
    """The record is syntactically invalid; evaluation is a permerror."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One directive. `target` None: the domain being checked; `network` is what ip4 and ip6 name."""

    text: str
    name: str
    qualifier: Qualifier
    target: MacroString | None = None
    ipv4_length: int = 32
    ipv6_length: int = 128
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """The directives in order, and the two known modifiers."""

    mechanisms: tuple[Mechanism, ...]
    redirect: MacroString | None = None
    exp: MacroString | None = None


def is_record(text: str) -> bool:
    """Whether a TXT record is an SPF record, well-formed or not."""
    return _VERSION.match(text) is not None


def parse(text: str) -> Record:
    """Parse an SPF record; raises BadRecord, which names the term that is wrong.

    Remembered, because a record is evaluated for each address of a pool, and one include by many customers' domains.
    """
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _parse(text)


@lru_cache(maxsize=64)
def _remembered(text: str) -> Record:
    return _parse(text)


def _parse(text: str) -> Record:
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    for term in text[len("v=spf1") :].split(" "):
        if not term:
            continue
        try:
            modifier = _MODIFIER.match(term)
            if modifier is None:
                mechanisms.append(_mechanism(term))
                continue
            name = modifier[1].lower()
            if name not in ("redirect", "exp"):
                macro_string(modifier[2])
                continue
            if name in modifiers:
                raise BadRecord(f"“{name}=” occurs twice")
            modifiers[name] = domain_spec(modifier[2])
        except BadMacro as error:
            raise BadRecord(f"“{_shown(term)}” is wrong: {error}") from None
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


def _mechanism(term: str) -> Mechanism:
    match = _MECHANISM.match(term)
    if match is None:
        raise BadRecord(f"“{_shown(term)}” is not an SPF term")
    qualifier, name, rest = Qualifier(match[1] or "+"), match[2].lower(), match[3]
    match name:
        case "all" if not rest:
            return Mechanism(term, name, qualifier)
        case "include" | "exists" if rest.startswith(":"):
            return Mechanism(term, name, qualifier, domain_spec(rest[1:]))
        case "ptr" if not rest or rest.startswith(":"):
            return Mechanism(term, name, qualifier, domain_spec(rest[1:]) if rest else None)
        case "a" | "mx":
            return _with_addresses(term, name, qualifier, rest)
        case "ip4":
            return Mechanism(term, name, qualifier, network=_network(term, _IPV4.match(rest), 32))
        case "ip6":
            return Mechanism(term, name, qualifier, network=_network(term, _IPV6.match(rest), 128))
    raise BadRecord(f"“{_shown(term)}” is not an SPF term")


def _with_addresses(term: str, name: str, qualifier: Qualifier, rest: str) -> Mechanism:
    match = _TARGET_AND_CIDR.match(rest)
    if match is None:
        raise BadRecord(f"“{_shown(term)}” is not an SPF term")
    target = None if match["domain"] is None else domain_spec(match["domain"])
    four, six = _length(term, match["four"], 32), _length(term, match["six"], 128)
    return Mechanism(term, name, qualifier, target, four, six)


def _network(term: str, match: re.Match[str] | None, longest: int) -> Network:
    if match is None:
        raise BadRecord(f"“{_shown(term)}” names no network")
    length = _length(term, match["length"], longest)
    try:
        address = (ipaddress.IPv4Address if longest == 32 else ipaddress.IPv6Address)(match["address"])
    except ValueError:
        raise BadRecord(f"“{_shown(term)}” names no network") from None
    return ipaddress.ip_network((int(address).to_bytes(longest // 8), length), strict=False)


def _length(term: str, text: str | None, longest: int) -> int:
    if text is None:
        return longest
    if len(text) > 3 or (text != "0" and text.startswith("0")) or int(text) > longest:
        raise BadRecord(f"“{_shown(term)}” has a prefix length that is not from 0 to {longest}")
    return int(text)


def _shown(text: str) -> str:
    return cut(text, 80)
