"""Which DMARC record counts for a subdomain, and that nothing is advised which is weaker than that."""

from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from dnschecks.resolver import Resolver
from servers.dns_dmarc import check_dmarc
from servers.dns_records import expected_of, records_of
from servers.domains import change_domain, create_domain, verify_domain
from servers.models import Domain, Server
from tests.dns_server import SERVFAIL, LocalDNS
from tests.servers.conftest import SYSTEM
from tests.servers.dns_example import EXPECTED, INVALID, MISSING, OK, put

pytestmark = [pytest.mark.server, pytest.mark.storage]

NAME = "news.mail.example.com"
CHILD = replace(EXPECTED, name=NAME, dmarc_name=f"_dmarc.{NAME}", dmarc_text="")
HERE = f"{NAME}. 60 IN A 192.0.2.1"
PUBLISH = f"Publish the TXT record “v=DMARC1; p=none” at _dmarc.{NAME}."


def record(domain: str, text: str) -> str:
    return f'_dmarc.{domain}. 60 IN TXT "{text}"'


def applies(domain: str, text: str, policy: str) -> str:
    return (
        f"Receivers use the record at _dmarc.{domain} for {NAME}, “{text}”, so the policy is {policy}. "
        "It needs no record of its own."
    )


@pytest.mark.parametrize(
    ("records", "domain", "policy"),
    [
        ({"example.com": "v=DMARC1; p=reject"}, "example.com", "reject"),
        ({"example.com": "v=DMARC1; p=reject; sp=quarantine"}, "example.com", "quarantine"),
        ({"example.com": "v=DMARC1; p=reject; sp=none; np=reject"}, "example.com", "none"),
        # The organizational domain has the fewest labels; what is between counts for nothing.
        (
            {"example.com": "v=DMARC1; p=reject", "mail.example.com": "v=DMARC1; p=none"},
            "example.com",
            "reject",
        ),
        # Unless it says of itself that it is one.
        (
            {"example.com": "v=DMARC1; p=reject", "mail.example.com": "v=DMARC1; p=quarantine; psd=n"},
            "mail.example.com",
            "quarantine",
        ),
        ({"mail.example.com": "v=DMARC1; p=quarantine"}, "mail.example.com", "quarantine"),
        # A public suffix's record is for organizational domains that have none.
        ({"com": "v=DMARC1; p=reject; psd=y"}, "com", "reject"),
        ({"com": "v=DMARC1; p=none; sp=reject"}, "com", "reject"),
        ({"com": "v=DMARC1; p=reject; psd=y", "example.com": "v=DMARC1; p=none"}, "example.com", "none"),
        (
            {"example.com": "v=DMARC1; p=none; psd=y", "mail.example.com": "v=DMARC1; p=reject"},
            "mail.example.com",
            "reject",
        ),
        # A faulty tag does not take the policy away (RFC 7489, 6.3): it must not be weakened.
        ({"example.com": "v=DMARC1; p=reject; rua=d@example.com"}, "example.com", "reject"),
        ({"example.com": "v=DMARC1; p=reject; rua=mailto:a@example.com,"}, "example.com", "reject"),
        ({"example.com": "v=DMARC1; p=quarantine; pct=100%; adkim=strict"}, "example.com", "quarantine"),
        ({"example.com": "v=DMARC1;p=reject;fo=1:d:s;rf=afrf;ri=86400;t=n;x-unknown=1;"}, "example.com", "reject"),
        ({"example.com": "V=DMARC1; P=REJECT"}, "example.com", "reject"),
        # One of the policy itself leaves none, where reports are asked for (6.6.3).
        ({"example.com": "v=DMARC1; p=reject; sp=all; rua=mailto:a@example.com"}, "example.com", "none"),
        ({"example.com": "v=DMARC1; p=all; rua=d@example.com,mailto:a@example.com"}, "example.com", "none"),
        # What receivers cannot read, they do not use.
        ({"example.com": "v=DMARC1; p=all", "mail.example.com": "v=DMARC1; p=reject"}, "mail.example.com", "reject"),
    ],
)
def test_the_record_above_counts(dns: LocalDNS, records: dict[str, str], domain: str, policy: str) -> None:
    dns.load("\n".join([HERE, *(record(*each) for each in records.items())]))
    finding = check_dmarc(CHILD, Resolver())
    assert (finding.status, finding.error, finding.warning, finding.facts) == (
        OK,
        "",
        applies(domain, records[domain], policy),
        {"in_force": policy},
    )


def test_a_name_that_does_not_exist_yet_has_a_policy_of_its_own(dns: LocalDNS) -> None:
    text = "v=DMARC1; p=none; sp=none; np=reject"
    dns.load(record("example.com", text))
    assert check_dmarc(CHILD, Resolver()).warning == applies("example.com", text, "reject")


def test_its_own_record_comes_first(dns: LocalDNS) -> None:
    dns.load("\n".join([record(NAME, "v=DMARC1; p=quarantine"), record("example.com", "v=DMARC1; p=none")]))
    finding = check_dmarc(CHILD, Resolver())
    assert (finding.status, finding.warning) == (OK, "")
    assert finding.facts == {"in_force": "quarantine", "published": "v=DMARC1; p=quarantine"}


@pytest.mark.parametrize("own", ["none", "quarantine"])
def test_its_own_record_that_weakens_the_policy_is_told(dns: LocalDNS, own: str) -> None:
    dns.load("\n".join([record(NAME, f"v=DMARC1; p={own}"), record("example.com", "v=DMARC1; p=reject")]))
    finding = check_dmarc(CHILD, Resolver())
    assert (finding.status, finding.warning) == (
        OK,
        (
            f"Its own record (p={own}) is weaker than the one at _dmarc.example.com, by which the policy would be reject: "
            "remove it, or publish “p=reject”."
        ),
    )


def test_nothing_above_means_that_one_is_missing(dns: LocalDNS) -> None:
    dns.load(HERE)
    finding = check_dmarc(CHILD, Resolver())
    assert (finding.status, finding.error) == (MISSING, f"The name _dmarc.{NAME} does not exist. {PUBLISH}")
    assert finding.facts == {"in_force": ""}
    assert {name for name, _ in dns.questions()} == {
        f"_dmarc.{NAME}", "_dmarc.mail.example.com", "_dmarc.example.com", "_dmarc.com", NAME, f"_dmarc.{NAME}.{NAME}",
    }  # fmt: skip


def test_what_cannot_be_asked_blames_nobody(dns: LocalDNS) -> None:
    dns.load(HERE)
    dns.fault("_dmarc.example.com", SERVFAIL)
    finding = check_dmarc(CHILD, Resolver())
    assert finding.status is None
    assert finding.error.startswith("DNS could not be queried (_dmarc.example.com TXT: server failure")


def test_two_records_of_its_own_are_wrong_whatever_is_above(dns: LocalDNS) -> None:
    own = [record(NAME, "v=DMARC1; p=none"), record(NAME, "v=DMARC1; p=reject")]
    dns.load("\n".join([*own, record("example.com", "v=DMARC1; p=reject")]))
    assert check_dmarc(CHILD, Resolver()).status == INVALID


def test_an_owner_who_wants_more_is_told_to_publish_it(dns: LocalDNS) -> None:
    dns.load("\n".join([HERE, record("example.com", "v=DMARC1; p=none")]))
    finding = check_dmarc(replace(CHILD, dmarc_text="v=DMARC1; p=reject"), Resolver())
    assert (finding.status, finding.error) == (
        MISSING,
        (
            f"Receivers use the record at _dmarc.example.com for {NAME}, “v=DMARC1; p=none”, so the policy is none. "
            f"Publish the TXT record “v=DMARC1; p=reject” at _dmarc.{NAME}."
        ),
    )


def test_a_long_name_is_walked_by_its_last_seven_labels(dns: LocalDNS) -> None:
    name = "a.b.c.d.e.f.g.h.mail.example.com"
    dns.load(record("example.com", "v=DMARC1; p=reject"))
    check_dmarc(replace(CHILD, name=name, dmarc_name=f"_dmarc.{name}"), Resolver())
    asked = [asked for asked, _ in dns.questions() if asked.startswith("_dmarc.")]
    assert len(asked) == 1 + 7
    assert "_dmarc.e.f.g.h.mail.example.com" in asked
    assert "_dmarc.d.e.f.g.h.mail.example.com" not in asked


# --- The record to publish -------------------------------------------------------------------------------------------


def advised(domain: Domain) -> list[str]:
    return [each.value for each in records_of(expected_of(domain)) if each.purpose == "dmarc"]


def test_a_subdomain_is_advised_nothing_before_it_is_known_what_counts(dns: LocalDNS, server: Server) -> None:
    domain = create_domain(at=timezone.now(), server=server, name=NAME, actor=SYSTEM).domain
    assert advised(domain) == []
    dns.load(HERE)
    verify_domain(domain=domain, actor=SYSTEM)
    assert advised(domain) == ["v=DMARC1; p=none"]
    dns.load(record("example.com", "v=DMARC1; p=reject"))
    verify_domain(domain=domain, actor=SYSTEM)
    assert advised(domain) == []


def test_nothing_weaker_than_the_published_record_is_advised(dns: LocalDNS, domain: Domain) -> None:
    assert advised(domain) == ["v=DMARC1; p=none"]
    dns.load(record("example.com", "v=DMARC1; p=reject; rua=mailto:d@example.com"))
    verify_domain(domain=domain, actor=SYSTEM)
    assert advised(domain) == ["v=DMARC1; p=reject; rua=mailto:d@example.com"]
    # What cannot be learned later takes nothing away.
    dns.fault("_dmarc.example.com", SERVFAIL)
    verify_domain(domain=domain, actor=SYSTEM)
    assert advised(domain) == ["v=DMARC1; p=reject; rua=mailto:d@example.com"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [("v=DMARC1; p=none", []), ("v=DMARC1; p=reject; adkim=s", ["v=DMARC1; p=reject; adkim=s"])],
)
def test_the_owners_text_is_advised_unless_it_weakens(
    dns: LocalDNS, server: Server, own: str, expected: list[str]
) -> None:
    domain = create_domain(at=timezone.now(), server=server, name=NAME, dmarc_record=own, actor=SYSTEM).domain
    assert advised(domain) == [own]
    dns.load("\n".join([HERE, record("example.com", "v=DMARC1; p=quarantine")]))
    verify_domain(domain=domain, actor=SYSTEM)
    assert advised(domain) == expected


def test_a_changed_text_is_advised_too(dns: LocalDNS, domain: Domain, settings: Any) -> None:
    dns.load(record("example.com", "v=DMARC1; p=quarantine"))
    verify_domain(domain=domain, actor=SYSTEM)
    changed = change_domain(domain=domain, dmarc_record="v=DMARC1; p=reject", actor=SYSTEM)
    assert advised(changed) == ["v=DMARC1; p=reject"]
    changed = change_domain(domain=domain, dmarc_record="v=DMARC1; p=none", actor=SYSTEM)
    assert advised(changed) == ["v=DMARC1; p=quarantine"]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        # Wrong, and in force.
        (["v=DMARC1; p=reject; rua=d@example.com; fo=1"], "v=DMARC1; p=reject; fo=1"),
        (
            ["v=DMARC1; p=reject; rua=mailto:a@example.com, b@example.com"],
            "v=DMARC1; p=reject; rua=mailto:a@example.com",
        ),
        (["v=DMARC1; p=reject; rua=mailto:a@example.com mailto:b@example.com"], "v=DMARC1; p=reject"),
        # Meant, and not in force.
        (
            ["v=DMARC1; p=none", "v=DMARC1; p=reject; rua=mailto:a@example.com"],
            "v=DMARC1; p=reject; rua=mailto:a@example.com",
        ),
        (['"v=DMARC1; p=reject"'], "v=DMARC1; p=reject"),
        (["v=DMARC1\\; p=quarantine\\; fo=1"], "v=DMARC1; p=quarantine; fo=1"),
        (["v=dmarc1; p=reject"], "v=DMARC1; p=reject"),
        (["v=DMARC1: p=reject"], "v=DMARC1; p=reject"),
        (["v=DMARC1, p=reject, rua=mailto:a@example.com"], "v=DMARC1; p=reject; rua=mailto:a@example.com"),
        (["v=DMARC1 p=quarantine"], "v=DMARC1; p=quarantine"),
        (["v=DMARC1; p=reject rua=mailto:a@example.com"], "v=DMARC1; p=reject; rua=mailto:a@example.com"),
        (["p=reject; v=DMARC1"], "v=DMARC1; p=reject"),
        (["p=quarantine"], "v=DMARC1; p=quarantine"),
        # Nobody knows what it means.
        (["v=DMARC1; p=all"], "v=DMARC1; p=none"),
    ],
)
def test_a_record_that_is_wrong_is_advised_put_right_and_never_weaker(
    dns: LocalDNS, domain: Domain, published: list[str], expected: str
) -> None:
    put(dns, "_dmarc.example.com", *published)
    assert verify_domain(domain=domain, actor=SYSTEM).dmarc_status == INVALID
    assert advised(domain) == [expected]


def test_a_subdomains_record_that_is_almost_right_is_not_advised_where_it_would_weaken(
    dns: LocalDNS, server: Server
) -> None:
    domain = create_domain(at=timezone.now(), server=server, name=NAME, actor=SYSTEM).domain
    dns.load("\n".join([HERE, record("example.com", "v=DMARC1; p=quarantine")]))
    for meant, expected in (("none", []), ("reject", ["v=DMARC1; p=reject"])):
        put(dns, f"_dmarc.{NAME}", f'"v=DMARC1; p={meant}"')
        verify_domain(domain=domain, actor=SYSTEM)
        assert advised(domain) == expected


def test_what_stands_in_the_zone_file_is_told(dns: LocalDNS) -> None:
    put(dns, "_dmarc.example.com", "v=DMARC1\\; p=reject")
    assert check_dmarc(EXPECTED, Resolver()).error == (
        "“v=DMARC1\\; p=reject” is not a DMARC record: it has backslashes before its semicolons: remove them."
    )


REPORTS = "example.com._report._dmarc.reports.example.net"
UNSENT = (
    "Receivers send no reports to reports.example.net, because there is no record that they are wanted there. Have its "
    f"owner publish the TXT record “v=DMARC1” at {REPORTS}, or use another address (“rua=”)."
)


@pytest.mark.parametrize(
    ("rua", "zone", "warning"),
    [
        ("mailto:d@example.com", "", ""),
        ("mailto:d@other.example.com", "", ""),
        ("https://reports.example.net/x", "", ""),
        ("mailto:d@reports.example.net", "", UNSENT),
        ("mailto:d@Reports.Example.NET!10m,mailto:e@reports.example.net,mailto:d@example.com", "", UNSENT),
        ("mailto:d@reports.example.net", f'{REPORTS}. 60 IN TXT "v=DMARC1"', ""),
        ("mailto:d@reports.example.net", '*._report._dmarc.reports.example.net. 60 IN TXT "v=DMARC1;"', ""),
        ("mailto:d@reports.example.net", f'{REPORTS}. 60 IN TXT "v=spf1 -all"', UNSENT),
    ],
)
def test_reports_that_another_domain_does_not_take_deserve_a_warning(
    dns: LocalDNS, rua: str, zone: str, warning: str
) -> None:
    dns.load(f"{record('example.com', f'v=DMARC1; p=reject; rua={rua}')}\n{zone}")
    finding = check_dmarc(EXPECTED, Resolver())
    assert (finding.status, finding.error, finding.warning) == (OK, "", warning)


def test_a_domain_that_cannot_be_asked_about_reports_is_blamed_for_nothing(dns: LocalDNS) -> None:
    dns.load(record("example.com", "v=DMARC1; p=reject; rua=mailto:d@reports.example.net"))
    dns.fault(REPORTS, SERVFAIL)
    assert check_dmarc(EXPECTED, Resolver()).warning == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p=reject; pct=100; t=n", ""),
        ("p=none; pct=0; t=y", ""),
        (
            "p=reject; pct=0",
            "By “pct=0” the policy is being tested: to all messages that fail, receivers apply quarantine",
        ),
        (
            "p=quarantine; pct=25",
            "By “pct=25” the policy is being tested: to 75 in 100 messages that fail, receivers apply none",
        ),
        ("p=reject; t=Y", "By “t=y” the policy is being tested: to all messages that fail, receivers apply quarantine"),
        ("p=none; sp=reject; pct=50; t=y", "By “pct=50” and “t=y” the policy is being tested: to all messages"),
    ],
)
def test_a_policy_that_is_being_tested_deserves_a_warning(dns: LocalDNS, text: str, said: str) -> None:
    dns.load(record("example.com", f"v=DMARC1; {text}"))
    finding = check_dmarc(EXPECTED, Resolver())
    assert (finding.status, finding.error) == (OK, "")
    assert finding.warning.startswith(said)
    assert bool(finding.warning) == bool(said)
