"""SPF evaluation against the published RFC 7208 test suite (tests/core/rfc7208), over a real DNS server."""

import json
from collections.abc import Iterator
from pathlib import Path

import dnslib
import pytest

from dnschecks import spf
from dnschecks.resolver import Resolver
from tests.dns_server import SERVFAIL, LocalDNS, name_of, text_record

pytestmark = pytest.mark.server

ASKED = {"A", "AAAA", "MX", "PTR", "TXT"}
SUITE = json.loads((Path(__file__).parent / "rfc7208" / "suite.json").read_text())
CASES = [
    pytest.param(scenario, case, id=f"{scenario['scenario']}: {case['id']}")
    for scenario in SUITE
    for case in scenario["tests"]
]


@pytest.fixture(scope="module")
def dns() -> Iterator[LocalDNS]:
    with LocalDNS() as server:
        yield server


def serve(dns: LocalDNS, zone: dict[str, list]) -> None:
    """Serve a scenario's zone. `["*", "TIMEOUT"]`: the name never answers for the types that it has no records of."""
    dns.replace("")
    for name, rows in zone.items():
        present = {rdtype for rdtype, value in rows if value != "TIMEOUT"}
        for rdtype, value in rows:
            if value == "TIMEOUT":
                for each in ASKED - present if rdtype == "*" else {rdtype}:
                    # A failure is a failure: SERVFAIL saves the seconds that silence costs (test_resolver has those).
                    dns.fault(name, SERVFAIL, each)
            else:
                dns.put([record(name_of(name), rdtype, value)])


def record(owner: dnslib.DNSLabel, rdtype: str, value: object) -> dnslib.RR:
    match rdtype, value:
        case "A", str():
            rdata = dnslib.A(value)
        case "AAAA", str():
            rdata = dnslib.AAAA(value)
        case "MX", [preference, host]:
            rdata = dnslib.MX(name_of(host), preference)
        case (("PTR" | "CNAME"), str()):
            rdata = getattr(dnslib, rdtype)(name_of(value))
        case "TXT", list():
            # One case has a TXT record of no strings, which no message can carry (RFC 1035, 3.3.14): an empty one it is.
            return text_record(owner, [each.encode() for each in value or [""]])
        case _:
            raise AssertionError(f"{rdtype} {value} is not of the suite")
    return dnslib.RR(owner, getattr(dnslib.QTYPE, rdtype), ttl=60, rdata=rdata)


def test_the_suite_is_whole() -> None:
    assert (len(SUITE), len(CASES)) == (16, 203)


@pytest.mark.parametrize(("scenario", "case"), CASES)
def test_it_says_what_the_suite_expects(dns: LocalDNS, scenario: dict, case: dict) -> None:
    serve(dns, scenario["zone"])

    verdict = spf.evaluate(case["host"], sender=case["mailfrom"], helo=case["helo"], resolver=Resolver([dns.address]))

    assert verdict.result in case["results"]
    if "explanation" in case:
        # The suite's DEFAULT: whatever the receiver says where the record's explanation cannot be had.
        expected = None if case["explanation"] == "DEFAULT" else case["explanation"]
        assert verdict.explanation == expected
