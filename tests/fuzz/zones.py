"""Zones that are made to cost whoever asks about them much: thousands of macros, of terms, and of records."""

from dnslib import MX, QTYPE, RR

from tests.dns_server import LocalDNS, name_of, text_record

_DEEP = "a." * 100
# The domains to verify, by what is wrong with each.
NAMES = {
    "macros": f"{_DEEP}macros.example",
    "names of the sender": f"{_DEEP}senders.example",
    "terms": "terms.example",
    "includes": "includes.example",
    "records": "records.example",
}
# Just below what is read of one answer, and what no answer may have.
_LONG, _LONGEST = 15_000, 60_000


def served() -> LocalDNS:
    """Return a server of these zones, which knows no other name and says so."""
    dns = LocalDNS()
    for length, prefix in ((_LONG, ""), (_LONGEST, "huge.")):
        _publish(dns, prefix + NAMES["macros"], f"v=spf1 exists:{'%{d}.' * (length // 5)}example -all")
        _publish(dns, prefix + NAMES["names of the sender"], f"v=spf1 exists:{'%{p}.' * (length // 5)}example -all")
        _publish(dns, prefix + NAMES["terms"], f"v=spf1 {'ip4:192.0.2.1 ' * (length // 14)}-all")
        _publish(
            dns, prefix + NAMES["includes"], " ".join(["v=spf1", *(f"include:i{each}.example" for each in range(10))])
        )
        for number in range(length // 16):
            dns.put(
                [RR(name_of(prefix + NAMES["records"]), QTYPE.MX, ttl=60, rdata=MX(prefix + NAMES["records"], number))]
            )
    for number in range(10):
        _publish(dns, f"i{number}.example", f"v=spf1 {'a:%{d} ' * (_LONG // 7)}?all")
    return dns


def _publish(dns: LocalDNS, name: str, text: str) -> None:
    dns.put([text_record(name_of(name), [text[at : at + 255].encode() for at in range(0, len(text), 255)])])
