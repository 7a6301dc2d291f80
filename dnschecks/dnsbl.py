"""DNS blocklists (RFC 5782): whether a zone lists an address, and whether the zone itself can be believed.

A listing is an answer within the zone's documented range. A time-out, a refusal (127.255.255.0/24, by which Spamhaus and others
answer resolvers that they do not serve), an answer out of the range and "no such name" are no listing. A zone that answers
everything lists 127.0.0.1 too, which no zone may: so that test point is asked along with each listing.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding, failed, invalid, moot, ok, raw
from dnschecks.resolver import Answer, Resolver

# RFC 5782, 5: the entries that a zone must have and must not have, for both families.
LISTED = {4: "127.0.0.2", 6: "::ffff:7f00:2"}
NEVER_LISTED = {4: "127.0.0.1", 6: "::ffff:7f00:1"}
# What answers are: A records of this network. The last part of it says that the zone does not answer this resolver.
ANSWERS = ipaddress.ip_network("127.0.0.0/8")
REFUSALS = ipaddress.ip_network("127.255.255.0/24")
MOST_RANGES = 20
# A zone's text is the zone's owner's: so much of it is kept.
LONGEST_TEXT = 300
_NOT_ASKED = "Its answers are not used."

type Range = tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]


class BadRanges(ValueError):
    """The text is no list of ranges of answers."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A blocklist: its domain, the answers that mean a listing, and the resolver to ask (none: the configured ones)."""

    name: str
    ranges: tuple[Range, ...]
    resolver: str = ""
    families: tuple[int, ...] = (4,)

    def documents(self, answer: str) -> bool:
        """Whether an answer means a listing."""
        value = ipaddress.IPv4Address(answer)
        return value not in REFUSALS and any(first <= value <= last for first, last in self.ranges)


def read_ranges(text: str) -> tuple[Range, ...]:
    """Return the ranges of `127.0.0.2-127.0.0.11, 127.0.0.20`; raises BadRanges with a sentence."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not 1 <= len(parts) <= MOST_RANGES:
        raise BadRanges(f"must be from 1 to {MOST_RANGES} answers or ranges, such as 127.0.0.2-127.0.0.11")
    found = []
    for part in parts:
        first, _, last = (each.strip() for each in part.partition("-"))
        try:
            pair = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last or first)
        except ValueError:
            raise BadRanges(f"“{part[:40]}” is no answer or range, such as 127.0.0.2-127.0.0.11") from None
        if pair[0] not in ANSWERS or pair[1] not in ANSWERS or pair[0] > pair[1]:
            raise BadRanges(f"“{part[:40]}” is not a range within 127.0.0.0/8")
        if any(each in REFUSALS for each in pair) or pair[0] <= ipaddress.IPv4Address(NEVER_LISTED[4]) <= pair[1]:
            raise BadRanges(f"“{part[:40]}” has answers that never mean a listing")
        found.append(pair)
    return tuple(found)


def written_ranges(ranges: Sequence[Range]) -> str:
    """Return ranges as text, as `read_ranges` takes it."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def question(address: str, zone: str) -> str:
    """Return the name that is asked for an address: octets or nibbles reversed, then the zone (RFC 5782, 2.1 and 2.4)."""
    pointer = ipaddress.ip_address(address).reverse_pointer
    return f"{pointer.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def check_zone(zone: Zone, resolver: Resolver) -> Finding:
    """Return whether the zone can be believed: it lists the test point that it must, and not the one that it must not."""
    answers = []
    for family in zone.families:
        must = resolver.ask(question(LISTED[family], zone.name), "A")
        must_not = resolver.ask(question(NEVER_LISTED[family], zone.name), "A")
        answers += [must, must_not]
        if must.is_failure or must_not.is_failure:
            return failed(must, must_not)
        if refusing := _refusals(must) + _refusals(must_not):
            return invalid(f"{zone.name} refuses this resolver: it answered {refusing[0]}. {_NOT_ASKED}", *answers)
        if must_not.records:
            found = ", ".join(must_not.addresses[:5])
            return invalid(
                f"{zone.name} lists {NEVER_LISTED[family]} ({found}), as a zone does that answers everything. {_NOT_ASKED}",
                *answers,
            )
        if not _listings(zone, must):
            told = f"it answered {', '.join(must.addresses[:5])}" if must.records else f"{must.outcome}"
            return invalid(
                f"{zone.name} does not list its test entry {LISTED[family]} within {written_ranges(zone.ranges)} ({told}). "
                f"{_NOT_ASKED}",
                *answers,
            )
    return ok(*answers)


def check_addresses(zone: Zone, addresses: Sequence[str], resolver: Resolver) -> Finding:
    """Return whether the zone lists one of these addresses: OK means that it does not, INVALID that it does.

    Where it does, `facts` has the listed addresses, the answers, and the zone's own text.
    """
    asked = [address for address in addresses if ipaddress.ip_address(address).version in zone.families]
    if not asked:
        return moot("No public address of a family that the zone lists.")
    answers = [resolver.ask(question(address, zone.name), "A") for address in asked]
    if refusing := [each for answer in answers for each in _refusals(answer)]:
        return Finding(None, f"{zone.name} refuses this resolver: it answered {refusing[0]}.", raw(*answers))
    listed = [address for address, answer in zip(asked, answers, strict=True) if _listings(zone, answer)]
    if listed:
        return _listing(zone, listed, answers, resolver)
    if any(each.is_failure for each in answers):
        return failed(*answers)
    strange = [each for answer in answers for each in answer.addresses]
    return ok(*answers, warning=f"Answers out of the documented range: {', '.join(strange[:5])}" if strange else "")


def _listing(zone: Zone, listed: Sequence[str], answers: Sequence[Answer], resolver: Resolver) -> Finding:
    """Return that these addresses are listed, unless the zone lists the test point that it must not list as well."""
    for family in sorted({ipaddress.ip_address(address).version for address in listed}):
        control = resolver.ask(question(NEVER_LISTED[family], zone.name), "A")
        if control.is_failure:
            return failed(control)
        if control.records:
            return Finding(None, f"{zone.name} answers everything: it lists {NEVER_LISTED[family]} too.", raw(control))
    codes = list(dict.fromkeys(each for answer in answers for each in _listings(zone, answer)))[:10]
    text = _text(resolver.ask(question(listed[0], zone.name), "TXT"))
    sentence = f"{zone.name} lists {' and '.join(listed)} ({', '.join(codes)})." + (f" “{text}”" if text else "")
    facts = {"listed": " ".join(listed), "codes": " ".join(codes), "text": text}
    return Finding(DNSStatus.INVALID, sentence, raw(*answers), facts=facts)


def _refusals(answer: Answer) -> list[str]:
    return [each for each in answer.addresses if ipaddress.IPv4Address(each) in REFUSALS]


def _listings(zone: Zone, answer: Answer) -> list[str]:
    return [each for each in answer.addresses if zone.documents(each)]


def _text(answer: Answer) -> str:
    text = " ".join(answer.texts) if answer.records else ""
    # Its bytes are shown as they came, those of other encodings as replacements.
    plain = text.encode("latin-1", "replace").decode("utf-8", "replace")
    return " ".join("".join(each if each.isprintable() else " " for each in plain).split())[:LONGEST_TEXT]
