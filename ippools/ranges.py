"""Parses pasted addresses: single addresses, networks (CIDR) and ranges. Pure."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.names import without_invisible

# Of one paste; a typing error such as /8 for /28 must not become sixteen million addresses.
MOST_ADDRESSES = 4_096
LONGEST_ENTRY = 60
# With those of Chinese and Japanese, and the quotation marks of spreadsheets.
_SEPARATORS = re.compile(r"[\s,;\"\u3001\uff0c\uff1b]+")
_BLANKS = re.compile(r"[^\S\r\n]+")
# What stands in a span: hyphens, dashes and the minus sign, as mail programs and word processors make them, the tildes of
# Japanese, arrows, and the word for it.
_DASH = re.compile(r" ?(?:[-\u2010-\u2015\u2212\u301c\ufe58\ufe63\uff0d\uff5e]>?|\u2192) ?| (?:to|bis|à) ")
_SLASH = re.compile(r" ?/ ?")
_AND = re.compile(r"(?<=[0-9]) (?:and|und|et|&) (?=[0-9])")
# Another word between two addresses may be that of a span in a further language.
_JOINED = "\u2060"  # an invisible character, so that no text has it
_WORD = re.compile(r"(?<=[0-9]) ([^\W\d_]+) (?=[0-9])")


@dataclass(frozen=True, slots=True)
class Pasted:
    """The addresses in order without duplicates, and the invalid entries with the reason."""

    addresses: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def read(text: str, *, most: int = MOST_ADDRESSES) -> Pasted:
    """Return the IPv4 addresses of a text with entries separated by spaces, commas, semicolons or line ends.

    A network's first and last address are not used, but for /31 and /32. A span's end may be its last number alone. Blanks may
    stand around a span's dash. What goes beyond `most` is refused, entry by entry.
    """
    # Of a run of blanks one is left first: looked for before a dash, each of many would be looked through to their end.
    text = _SLASH.sub("/", _DASH.sub("-", _BLANKS.sub(" ", without_invisible(text))))
    # Both addresses are refused with the word: alone, they would be the ends of what was meant.
    text = _WORD.sub(rf"{_JOINED}\1{_JOINED}", _AND.sub(" ", text))
    found: dict[str, None] = {}
    refused: list[tuple[str, str]] = []
    for entry in filter(None, _SEPARATORS.split(text)):
        shown = (entry if len(entry) <= LONGEST_ENTRY else entry[:LONGEST_ENTRY] + "…").replace(_JOINED, " ")
        try:
            first, last = _span(entry)
        except ValueError:
            refused.append(
                (shown, "is not an IPv4 address, a network such as 192.0.2.0/28 or a range such as 192.0.2.1-192.0.2.9")
            )
            continue
        if first > last:
            refused.append((shown, "ends before it begins"))
        elif last - first + 1 + len(found) > most:
            refused.append((shown, f"would create more than {most:,} addresses"))
        else:
            found.update(dict.fromkeys(_between(first, last)))
    return Pasted(list(found), refused)


def _span(entry: str) -> tuple[int, int]:
    if "/" in entry:
        network = ipaddress.IPv4Network(entry)
        first, last = int(network.network_address), int(network.broadcast_address)
        return (first, last) if network.prefixlen >= 31 else (first + 1, last - 1)
    first_text, dash, last_text = entry.partition("-")
    first = int(ipaddress.IPv4Address(first_text))
    if dash and "." not in last_text:
        last_text = f"{first_text.rpartition('.')[0]}.{last_text}"
    return first, int(ipaddress.IPv4Address(last_text)) if dash else first


def _between(first: int, last: int) -> Iterator[str]:
    return (str(ipaddress.IPv4Address(number)) for number in range(first, last + 1))
