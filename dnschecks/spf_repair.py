"""Makes one right SPF record of those that a name has, with the terms that they lack. Pure.

Nothing that they say is lost, and their end (`-all`) becomes no weaker; faults of their writing are put right.
"""

import bisect
import ipaddress
import itertools
import re
from collections.abc import Iterable, Sequence

from core.names import without_invisible
from dnschecks.near_misses import unwrapped
from dnschecks.spf_record import Network, is_record

# Not Sender ID (RFC 4406), which stands beside an SPF record.
_VERSION = re.compile(r"(?:v\s*=\s*)?spf(?!2\.0/)\d*", re.IGNORECASE)
_ALL = re.compile(r"([-+~?]?)all", re.IGNORECASE)
# What text editors make of a hyphen.
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_AS_MODIFIER = re.compile(r"([-+~?]?(?:include|ip4|ip6|mx|a|ptr|exists))=", re.IGNORECASE)
_REDIRECT = re.compile(r"redirect=", re.IGNORECASE)
# Decimal escapes of master files.
_ESCAPED = re.compile(r"\\(\d{3})")
# Of several records the strictest end is kept. One that lets everybody pass was none.
_STRICTER = ("?", "~", "-")
_WEAKEST = "~all"


def is_meant(text: str) -> bool:
    """Whether a text is an SPF record, or was meant as one."""
    return _VERSION.match(_readable(text)) is not None


def completed(texts: Iterable[str], terms: Sequence[str]) -> str:
    """Return the one record to publish: with these terms at its front, where the others do not have them before their `all`."""
    meant = [each for each in texts if is_meant(each)]
    # One that receivers do not take for a record counts beside none that they do.
    records = [each for each in meant if is_record(each)] or meant
    found = [_terms(each) for each in records]
    present = found[0] if len(found) == 1 else _merged(found)
    end = next((at for at, term in enumerate(present) if _ALL.fullmatch(term)), len(present))
    lacking = _lacking(terms, [term.casefold() for term in present[:end]])
    return " ".join(dict.fromkeys(["v=spf1", *lacking, *present]))


def _lacking(terms: Sequence[str], present: Sequence[str]) -> list[str]:
    """Return those of the terms that the present ones, which are in lower case, neither are nor have within their networks."""
    passing = {term.removeprefix("+") for term in present}
    # Of what some addresses are taken out, others may be too.
    has_exceptions = any(term[0] in "-~?" for term in present)
    networks = [found for term in passing if not has_exceptions and (found := _network(term)) is not None]
    around = {version: _Spans(each for each in networks if each.version == version) for version in (4, 6)}
    own_networks = [(term, _network(term.casefold())) for term in terms]
    return [
        term
        for term, own in own_networks
        if term.casefold() not in passing and not (own and around[own.version].has(own))
    ]


def _network(term: str) -> Network | None:
    name, _, text = term.partition(":")
    if name not in ("ip4", "ip6"):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


class _Spans:
    """Networks of one version, in which others are found without comparing with each: there may be thousands of both."""

    def __init__(self, networks: Iterable[Network]) -> None:
        spans = sorted((int(each.network_address), int(each.broadcast_address)) for each in networks)
        self._starts = [start for start, _ in spans]
        # The last address of those that begin no later.
        self._ends = list(itertools.accumulate((end for _, end in spans), max))

    def has(self, network: Network) -> bool:
        """Whether a network is within one of these."""
        before = bisect.bisect_right(self._starts, int(network.network_address))
        return before > 0 and self._ends[before - 1] >= int(network.broadcast_address)


def _merged(found: Sequence[Sequence[str]]) -> list[str]:
    """Return what all of the records say before their ends, and the strictest of these."""
    merged: dict[str, str] = {}
    ends = []
    for terms in found:
        for term in terms:
            if at_end := _ALL.fullmatch(term):
                ends.append(at_end[1])
                break
            # Beside an `all`, which another record has, a redirect would count for nothing (RFC 7208, 6.1).
            term = _REDIRECT.sub("include:", term)
            merged.setdefault(term.casefold(), term)
    strictest = max((each for each in ends if each in _STRICTER), key=_STRICTER.index, default="")
    return [*merged.values(), f"{strictest}all" if strictest else _WEAKEST]


def _terms(text: str) -> list[str]:
    readable = _readable(text)
    version = _VERSION.match(readable)
    words = readable[version.end() if version else 0 :].split()
    terms = (_DASHES.sub("-", word.strip(";,\"'")) for word in words)
    return [
        _AS_MODIFIER.sub(_with_colon, term, count=1) if _AS_MODIFIER.match(term) else term for term in terms if term
    ]


def _with_colon(found: re.Match[str]) -> str:
    return f"{found[1]}:"


def _readable(text: str) -> str:
    """Return a text without what wraps it; no-break spaces are blanks (`split`), and what is not shown is not there."""
    return without_invisible(unwrapped(_ESCAPED.sub(lambda found: chr(int(found[1]) % 256), text))[0]).strip()
