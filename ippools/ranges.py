"""Parses pasted addresses: single addresses, networks (CIDR) and ranges. Pure."""

import html
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.names import without_invisible

# Of one paste; a typing error such as /8 for /28 must not become sixteen million addresses.
MOST_ADDRESSES = 4_096
LONGEST_ENTRY = 60
# With those of Chinese and Japanese, and the quotation marks of spreadsheets.
_SEPARATORS = re.compile(r"[\n,;\"\u3001\uff0c\uff1b]+")
_BLANKS = re.compile(r"[^\S\r\n]+")
_LINE_ENDS = re.compile(r"(?: ?[\r\n])+ ?")
# What stands in a span: hyphens, dashes and the minus sign, as mail programs and word processors make them, the tildes of
# Japanese, arrows, dots, and the word for it.
_DASHES = "-\u2010-\u2015\u2043\u2212\u301c\ufe58\ufe63\uff0d\uff5e~\u2192"
_WORDS = "(?:to|bis|à)"
_DASH = re.compile(rf" ?(?:[{_DASHES}=]>|[{_DASHES}]) ?| {_WORDS} |(?<=[0-9]) ?(?:\u2026|\.{{2,3}}) ?(?=[0-9])")
_SLASH = re.compile(r" ?/ ?")
_AND = re.compile(r"(?<=[0-9]) (?:and|und|et|&) (?=[0-9])")
# A span over the end of a line, as texts are wrapped.
_LATER = re.compile(rf"\n(?={_WORDS}[ \n]|\u2026|\.\.)")
_OPEN = re.compile(rf"((?:[{_DASHES}]|\u2026|\.\.| {_WORDS}))\n")
# It could be a list as well, whose lines begin with a dash.
_LISTED = re.compile(rf"(?<=[0-9])\n(?=[{_DASHES}] ?[0-9])")
# Words that are not known between two addresses, one of which ends its line there: what they mean is not known either. Before
# an address they may be what it is called, where the line above begins so, too. A host name has a dot or a digit.
_UNKNOWN = r"[^\W\d_][^\s\d.,;:\"/]{0,30}"
_ENDS = re.compile(rf"(?<=[0-9])((?: {_UNKNOWN}){{1,3}})\n(?=[0-9]{{1,3}}\.)")
_BEGINS = re.compile(rf"(?<![^\n])([0-9./]{{7,18}})\n((?:{_UNKNOWN}[ \n]){{1,3}})(?=[0-9]{{1,3}}\.)")
_JOINED = "\u2060"  # an invisible character, so that no text has it
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_LETTER = re.compile(r"[^\W\d_]")
_MASK = re.compile(r"255\.[0-9.]+")


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
    found: dict[str, None] = {}
    refused: list[tuple[str, str]] = []
    for entry in _entries(text):
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


def _entries(text: str) -> Iterator[str]:
    """Yield the entries of a text; what may be one span in words or signs that are not known is one entry, and no address."""
    if "&" in text:
        text = html.unescape(text)
    # Of a run of blanks one is left first: looked for before a dash, each of many would be looked through to their end.
    text = _LINE_ENDS.sub("\n", _BLANKS.sub(" ", without_invisible(text)))
    text = _OPEN.sub(r"\1 ", _LATER.sub(" ", text))
    text = _LISTED.sub(_JOINED, _ENDS.sub(r"\1 ", _BEGINS.sub(_on_one_line, text)))
    text = _AND.sub(" ", _SLASH.sub("/", _DASH.sub("-", text)))
    for line in _SEPARATORS.split(text):
        yield from map(_JOINED.join, _phrases(line))


def _on_one_line(found: re.Match[str]) -> str:
    return found[0].replace("\n", " ")


def _phrases(line: str) -> list[list[str]]:
    """Return the words of a line, each by itself but for addresses with words between them.

    Alone, these would be the two ends of what was meant; so would an address and its mask be two addresses.
    """
    phrases: list[list[str]] = []
    # The words since the last address, and whether that belongs to what follows.
    since, is_open, has_address = 0, False, False
    for word in filter(None, line.split(" ")):
        if not _ADDRESS.search(word):
            phrases.append([word])
            since += 1
            continue
        # Letters of IPv6 are no word of a span.
        is_part = (":" not in word and _LETTER.search(word) is not None) or _MASK.fullmatch(word) is not None
        if has_address and (since or is_open or is_part):
            for each in phrases[len(phrases) - since :]:
                phrases[-since - 1].extend(each)
            del phrases[len(phrases) - since :]
            phrases[-1].append(word)
        else:
            phrases.append([word])
        since, is_open, has_address = 0, is_part, True
    return phrases


def _span(entry: str) -> tuple[int, int]:
    if "/" in entry:
        network = ipaddress.IPv4Network(entry)
        first, last = int(network.network_address), int(network.broadcast_address)
        return (first, last) if network.prefixlen >= 31 else (first + 1, last - 1)
    if _MASK.fullmatch(entry):
        raise ValueError(entry)
    first_text, dash, last_text = entry.partition("-")
    first = int(ipaddress.IPv4Address(first_text))
    if dash and "." not in last_text:
        last_text = f"{first_text.rpartition('.')[0]}.{last_text}"
    return first, int(ipaddress.IPv4Address(last_text)) if dash else first


def _between(first: int, last: int) -> Iterator[str]:
    return (str(ipaddress.IPv4Address(number)) for number in range(first, last + 1))
