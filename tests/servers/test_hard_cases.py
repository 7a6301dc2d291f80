"""What DNS does to a check on bad days, over UDP and over TCP: each hard case has its right outcome in the domain's row."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.utils import timezone
from dnslib import RR

from dnschecks.resolver import Resolver
from servers.dns import check_spf
from servers.dns_records import Sending, expected_of
from servers.domain_checks import check_domain
from servers.domains import change_domain, create_domain
from servers.models import Domain, Server
from servers.zone_file import quoted
from tests.dns_server import GARBLED, REFUSED, SERVFAIL, SILENT, LocalDNS, name_of, text_record
from tests.servers.conftest import SYSTEM, statuses, zone_of

pytestmark = pytest.mark.server

ALL_OK = dict.fromkeys(("verification", "spf", "dkim", "return_path", "mx", "dmarc"), "ok")
SPF = "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 -all"


@pytest.fixture(params=["udp", "tcp"])
def good(request: pytest.FixtureRequest, dns: LocalDNS, domain: Domain) -> LocalDNS:
    """A server with all that the domain must have, which answers by one transport."""
    dns.load(zone_of(domain))
    dns.tcp_only = request.param == "tcp"
    return dns


def check(domain: Domain, seconds: float = 15) -> dict[str, str | None]:
    return statuses(check_domain(domain, actor=SYSTEM, seconds=seconds))


def put_spf(dns: LocalDNS, domain: Domain, *records: str) -> None:
    dns.remove(domain.name, "TXT")
    dns.load(f'example.com. 60 IN TXT "postal-verify {domain.verification_token}"')
    for record in records:
        dns.load(f"example.com. 60 IN TXT {quoted(record)}")


def dkim_name(domain: Domain) -> str:
    return f"postal-{domain.dkim_identifier}._domainkey.example.com"


def includes(number: int) -> str:
    """A chain of so many includes, whose last passes the pool."""
    chain = [f'i{n}.example.net. 60 IN TXT "v=spf1 include:i{n + 1}.example.net -all"' for n in range(1, number)]
    return "\n".join([*chain, f'i{number}.example.net. 60 IN TXT "{SPF}"'])


def several_spf_records(dns: LocalDNS, domain: Domain) -> None:
    put_spf(dns, domain, SPF, "v=spf1 +all")


def ten_look_ups(dns: LocalDNS, domain: Domain) -> None:
    put_spf(dns, domain, "v=spf1 include:i1.example.net -all")
    dns.load(includes(10))


def eleven_look_ups(dns: LocalDNS, domain: Domain) -> None:
    put_spf(dns, domain, "v=spf1 include:i1.example.net -all")
    dns.load(includes(11))


def texts_in_short_strings(dns: LocalDNS, domain: Domain) -> None:
    for name in ("example.com", "_dmarc.example.com", dkim_name(domain)):
        texts = [b"".join(rr.rdata.data).decode() for rr in dns.zone.of(name) or [] if rr.rtype == 16]
        dns.remove(name, "TXT")
        for text in texts:
            parts = [text[at : at + 40] for at in range(0, len(text), 40)]
            dns.load(f"{name}. 60 IN TXT {' '.join(quoted(part) for part in parts)}")


def upper_case(dns: LocalDNS, domain: Domain) -> None:
    texts = dns.zone.of("example.com") or []
    dns.remove("example.com", "TXT")
    dns.remove("example.com", "MX")
    dns.put(RR("EXAMPLE.COM", rr.rtype, rr.rclass, rr.ttl, rr.rdata) for rr in texts if rr.rtype == 16)
    dns.load("EXAMPLE.COM. 60 IN MX 10 MX.Postal.")
    dns.remove("rp.example.com", "CNAME")
    dns.load("RP.Example.COM. 60 IN CNAME RP.POSTAL.")


def a_long_answer(dns: LocalDNS, domain: Domain) -> None:
    dns.load("\n".join(f'example.com. 60 IN TXT "{n:03d} {"x" * 200}"' for n in range(40)))


def a_circle_of_cnames(dns: LocalDNS, domain: Domain) -> None:
    dns.remove(dkim_name(domain), "TXT")
    dns.load(f"{dkim_name(domain)}. 60 IN CNAME b.example.org.\nb.example.org. 60 IN CNAME {dkim_name(domain)}.")


def a_circle_at_the_return_path(dns: LocalDNS, domain: Domain) -> None:
    dns.remove("rp.example.com", "CNAME")
    dns.load("rp.example.com. 60 IN CNAME c.example.org.\nc.example.org. 60 IN CNAME rp.example.com.")


@pytest.mark.parametrize(
    ("case", "wrong", "error"),
    [
        (
            several_spf_records,
            {"spf": "invalid"},
            (
                "There are 2 SPF records, and receivers accept only one: merge them, as in"
                " “v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 -all”."
            ),
        ),
        (ten_look_ups, {}, ""),
        (
            eleven_look_ups,
            {"spf": "invalid"},
            "The SPF record cannot be evaluated: it needs more than 10 DNS look-ups (",
        ),
        (texts_in_short_strings, {}, ""),
        (upper_case, {}, ""),
        (a_long_answer, {}, ""),
        (a_circle_of_cnames, {"dkim": "missing"}, "The CNAMEs of DKIM form a loop. Publish the TXT record “"),
        (
            a_circle_at_the_return_path,
            {"return_path": "invalid"},
            "The CNAMEs of rp.example.com form a loop. Publish the CNAME rp.example.com → rp.postal.",
        ),
    ],
)
def test_what_is_a_fact(
    good: LocalDNS, domain: Domain, case: Callable[[LocalDNS, Domain], None], wrong: dict[str, str], error: str
) -> None:
    case(good, domain)
    assert check(domain) == ALL_OK | wrong
    domain.refresh_from_db()
    for name in wrong:
        assert getattr(domain, f"{name}_error").startswith(error.replace("of DKIM", f"of {dkim_name(domain)}"))
    by_tcp = {(name, rdtype) for name, rdtype, transport in good.asked if transport == "tcp"}
    truncated = {("example.com", "TXT")} if case is a_long_answer else set()
    assert by_tcp == (set(good.questions()) if good.tcp_only else truncated)


@pytest.mark.parametrize("kind", [SILENT, SERVFAIL, REFUSED, GARBLED])
def test_a_failing_resolver_never_turns_good_into_bad(good: LocalDNS, domain: Domain, kind: str) -> None:
    assert check(domain) == ALL_OK
    verified_at = Domain.objects.get().verified_at
    for name in ("example.com", "rp.example.com", "_dmarc.example.com", dkim_name(domain)):
        good.fault(name, kind)

    assert check(domain, seconds=0.8) == ALL_OK
    domain.refresh_from_db()
    assert domain.verified_at == verified_at is not None
    assert domain.dns_failures == 1
    for name in ALL_OK:
        assert getattr(domain, f"{name}_error").startswith("DNS could not be queried (")
        assert domain.dns_answers[name]["answer"]
        assert domain.dns_answers[name]["failure"].startswith("(")

    good.heal()
    assert check(domain) == ALL_OK
    domain.refresh_from_db()
    assert (domain.dns_failures, {getattr(domain, f"{name}_error") for name in ALL_OK}) == (0, {""})


def test_a_server_that_truncates_and_takes_no_tcp_is_a_failure(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    assert check(domain) == ALL_OK
    dns.tcp_only = True
    dns.tcp.shutdown()
    dns.tcp.server_close()
    assert check(domain, seconds=1) == ALL_OK
    domain.refresh_from_db()
    assert domain.mx_error.startswith("DNS could not be queried (example.com MX: ")


def test_an_alias_whose_target_cannot_be_asked_for_is_a_failure(good: LocalDNS, domain: Domain) -> None:
    good.follows_cnames = False
    good.remove("_dmarc.example.com", "TXT")
    good.load("_dmarc.example.com. 60 IN CNAME policy.example.net.")
    good.fault("policy.example.net", SERVFAIL)
    assert check(domain) == ALL_OK | {"dmarc": None}
    domain.refresh_from_db()
    assert "SERVFAIL from 127.0.0.1" in domain.dmarc_error


def test_an_endless_evaluation_ends_with_the_time_limit(dns: LocalDNS, domain: Domain) -> None:
    record = "v=spf1" + " ip4:203.0.113.1" * 900 + " +all"
    parts = [record[at : at + 255].encode() for at in range(0, len(record), 255)]
    dns.put([text_record(name_of("example.com"), parts)])
    expected = replace(expected_of(domain), sendings=(Sending("192.0.2.1", "h.acme.postal"),) * 100_000)
    began = time.monotonic()
    finding = check_spf(expected, Resolver(time_limit=1))

    assert time.monotonic() - began < 10
    assert finding.status is None
    cause = (
        r"SPF could not be evaluated: the check's time limit of 1 seconds was reached after \d+ of 100000 addresses\."
    )
    assert re.fullmatch(cause, finding.error)
    assert finding.answer.startswith("example.com. 60 IN TXT ")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_internationalised_names_and_last_dots(dns: LocalDNS, server: Server, transport: str) -> None:
    dns.tcp_only = transport == "tcp"
    domain = create_domain(at=timezone.now(), server=server, name="Bücher.Example.", actor=SYSTEM).domain
    change_domain(domain=domain, custom_mx_records=["Mail.BÜCHER.example."], actor=SYSTEM)
    domain.refresh_from_db()
    zone = zone_of(domain)
    assert "xn--bcher-kva.example. IN MX 10 mail.xn--bcher-kva.example.\n" in zone
    dns.load(zone)
    assert check(domain) == ALL_OK
