"""Wanted and found values of a DNS record: which found value was meant, and where the two differ."""

from dataclasses import dataclass

from servers.dns_records import DNSRecord
from servers.dns_wanted import values_of

# At a name with records of many services, a value that shares less with the wanted one is another service's: "v=spf1".
LEAST_SHARED = 6
# A name of its own has nothing else to be confused with.
OWN_NAMES = frozenset({"dkim", "return_path", "dmarc"})


@dataclass(frozen=True, slots=True)
class Difference:
    """The wanted and the found value, cut where they differ: what both begin with, the two middles, what both end with."""

    begin: str
    wanted: str
    found: str
    end: str


def difference(wanted: str, found: str) -> Difference:
    """Return where two values differ; what they share is never counted twice."""
    begin = _common_length(wanted, found)
    if " " in wanted[begin:] or " " in found[begin:]:
        # Whole words are missing, as the terms of an SPF record; within one word, as a key, its letters are compared.
        begin = wanted.rfind(" ", 0, begin) + 1
    rest, other = wanted[begin:], found[begin:]
    end = _common_length(rest[::-1], other[::-1])
    return Difference(wanted[:begin], rest[: len(rest) - end], other[: len(other) - end], rest[len(rest) - end :])


def found_for(record: DNSRecord, answer: str) -> str | None:
    """Return the value in DNS that was meant for this record; None: nothing like it. `answer` is in master-file form."""
    values = list(dict.fromkeys(values_of(answer, record.type)))
    if record.purpose == "mx":
        # Each host is wanted, and others may be there: none of them is a wrong writing of this one.
        return record.value if record.value in values else None
    if not values:
        return None
    shared, best = max(((_shared(record.value, each), each) for each in values), key=lambda pair: pair[0])
    return best if shared >= LEAST_SHARED or record.purpose in OWN_NAMES else None


def _shared(wanted: str, found: str) -> int:
    return _common_length(wanted.casefold(), found.strip(" \"'").casefold())


def _common_length(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
