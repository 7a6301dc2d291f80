"""The six checks of a domain, each against a real DNS server: what is right, what is wrong, and what cannot be known."""

import pytest

from dnschecks.checked import DNSStatus
from dnschecks.resolver import Resolver
from servers.dns import CHECKS, examine
from tests.dns_server import SERVFAIL, SILENT, TRUNCATED, LocalDNS
from tests.servers.dns_example import DKIM, DKIM_NAME, EXPECTED, GOOD, INVALID, MISSING, OK, find, put

pytestmark = pytest.mark.server


def test_it_works(dns: LocalDNS) -> None:
    dns.load(GOOD)
    findings = examine(EXPECTED, Resolver())

    assert {check: (finding.status, finding.error) for check, finding in findings.items()} == dict.fromkeys(
        CHECKS, (OK, "")
    )
    assert findings["return_path"].answer == "rp.example.com. 3600 IN CNAME rp.postal."
    assert findings["mx"].answer == "example.com. 3600 IN MX 10 mx1.postal.\nexample.com. 3600 IN MX 10 mx2.postal."
    assert findings["dmarc"].answer == '_dmarc.example.com. 3600 IN TXT "v=DMARC1; p=none"'
    # One question for each name and type, however many checks want the answer.
    assert set(dns.questions().values()) == {1}


def test_nothing_published(dns: LocalDNS) -> None:
    dns.load("other.example. 60 IN A 192.0.2.1")
    findings = examine(EXPECTED, Resolver())

    assert {check: (finding.status, finding.error) for check, finding in findings.items()} == {
        "verification": (
            MISSING,
            "The name example.com does not exist. Publish the TXT record “postal-verify TOKEN” at example.com.",
        ),
        "spf": (
            MISSING,
            (
                "There is no SPF record. Publish the TXT record "
                "“v=spf1 ip4:192.0.2.1 ip4:192.0.2.9 ip6:2001:db8::9 ~all” at example.com."
            ),
        ),
        "dkim": (
            MISSING,
            (
                f"The name postal-abc._domainkey.example.com does not exist. Publish the TXT record “{DKIM}” at "
                "postal-abc._domainkey.example.com."
            ),
        ),
        "return_path": (
            MISSING,
            "The name rp.example.com does not exist. Publish the CNAME rp.example.com → rp.postal.",
        ),
        "mx": (
            MISSING,
            "The name example.com does not exist. Publish MX records at example.com for mx1.postal and mx2.postal.",
        ),
        "dmarc": (
            MISSING,
            "The name _dmarc.example.com does not exist. Publish the TXT record “v=DMARC1; p=none” at _dmarc.example.com.",
        ),
    }
    assert findings["mx"].answer == "(example.com MX: no such name)"


@pytest.mark.parametrize("kind", [SERVFAIL, SILENT])
@pytest.mark.parametrize(
    ("check", "name", "rdtype"),
    [
        ("verification", "example.com", "TXT"),
        ("spf", "example.com", "TXT"),
        ("dkim", "postal-abc._domainkey.example.com", "TXT"),
        ("return_path", "rp.example.com", "CNAME"),
        ("mx", "example.com", "MX"),
        ("dmarc", "_dmarc.example.com", "TXT"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_failing_resolver_blames_nobody(dns: LocalDNS, check: str, name: str, rdtype: str, kind: str) -> None:
    dns.load(GOOD)
    dns.fault(name, kind, rdtype)
    findings = examine(EXPECTED, Resolver())

    assert findings[check].status is None
    assert findings[check].error.startswith(f"DNS could not be queried ({name} {rdtype}: ")
    assert findings[check].error.endswith(").")
    # The other checks are not harmed, but for the two that share a question.
    others = {other for other, finding in findings.items() if finding.status == OK}
    assert others == set(CHECKS) - ({"verification", "spf"} if check in ("verification", "spf") else {check})


def test_truncated_answers_come_by_tcp(dns: LocalDNS) -> None:
    dns.load(GOOD)
    for name in ("example.com", "postal-abc._domainkey.example.com", "_dmarc.example.com", "rp.example.com"):
        dns.fault(name, TRUNCATED)
    assert {finding.status for finding in examine(EXPECTED, Resolver()).values()} == {OK}
    assert {transport for *_, transport in dns.asked} == {"udp", "tcp"}


# --- Verification ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        (["v=spf1 -all", "postal-verify TOKEN"], OK),
        (["postal-verify token"], INVALID),
        (["postal-verify TOKEN2"], INVALID),
        (["postal-verify  TOKEN"], INVALID),
        (['"postal-verify TOKEN"'], INVALID),
        (["postal-verify OTHER", "postal-verify TOKEN"], OK),
        (["something else"], MISSING),
    ],
)
def test_the_proof_is_exact(dns: LocalDNS, texts: list[str], status: DNSStatus) -> None:
    put(dns, "example.com", *texts)
    assert find("verification").status == status


def test_the_proof_may_be_split_into_strings(dns: LocalDNS) -> None:
    dns.load('example.com. 60 IN TXT "postal-" "verify TOKEN"')
    assert find("verification").status == OK


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"postal-verify TOKEN"', "it has quotation marks as part of its text: remove them"),
        ("“postal-verify TOKEN”", "it has quotation marks as part of its text: remove them"),
        (" postal-verify TOKEN", "it begins with a blank: remove it"),
        ("postal-verify TOKEN ", "it ends with a blank: remove it"),
        ("postal-verify TOKEN\u00a0", "it ends with a blank: remove it"),
        (
            "postal-verify  TOKEN",
            "there must be one blank between “postal-verify” and the token, and nothing else",
        ),
        (
            "postal-verify=TOKEN",
            "there must be one blank between “postal-verify” and the token, and nothing else",
        ),
        (
            'postal-verify "TOKEN"',
            "there must be one blank between “postal-verify” and the token, and nothing else",
        ),
        ("postal-verify TO KEN", "the blanks in it are wrong: one after the first word, none in the token"),
        ("postal-verifyTOKEN", "the blanks in it are wrong: one after the first word, none in the token"),
        ("TOKEN", "“postal-verify ” is missing before the token"),
        ("Postal-Verify token", "capital and small letters differ"),
    ],
)
def test_a_proof_that_is_almost_right_is_told_as_such(dns: LocalDNS, text: str, fault: str) -> None:
    put(dns, "example.com", text)
    finding = find("verification")
    assert (finding.status, finding.error) == (
        INVALID,
        (
            f"The TXT record “{text}” is almost right: {fault}. "
            "Publish the TXT record “postal-verify TOKEN” at example.com."
        ),
    )


def test_a_wrong_proof_is_named(dns: LocalDNS) -> None:
    put(dns, "example.com", "postal-verify OTHER")
    assert find("verification").error == (
        "The TXT record “postal-verify OTHER” is not this domain's. "
        "Publish the TXT record “postal-verify TOKEN” at example.com."
    )


# --- Return path -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "status", "error"),
    [
        ("rp.example.com. 60 IN CNAME rp.postal.", OK, ""),
        ("rp.example.com. 60 IN CNAME RP.Postal.", OK, ""),
        ("rp.example.com. 60 IN CNAME a.example.com.\na.example.com. 60 IN CNAME rp.postal.", OK, ""),
        (
            "rp.example.com. 60 IN CNAME rp.postal.example.com.",
            INVALID,
            "rp.example.com leads to rp.postal.example.com.",
        ),
        ("example.com. 60 IN A 192.0.2.1", MISSING, "The name rp.example.com does not exist."),
        (
            "rp.example.com. 60 IN A 104.16.1.1\nrp.example.com. 60 IN AAAA 2606:4700::1",
            INVALID,
            (
                "rp.example.com answers with an address (104.16.1.1 and 2606:4700::1) instead of a CNAME: it has address "
                "records, or the DNS provider proxies it. Remove the records, or disable the proxy (“DNS only”)."
            ),
        ),
        (
            'rp.example.com. 60 IN TXT "x"',
            MISSING,
            "There is no CNAME at rp.example.com. Remove its TXT records, because nothing can be beside a CNAME.",
        ),
        ("rp.example.com. 60 IN CNAME rp.example.com.", INVALID, "The CNAMEs of rp.example.com form a loop."),
    ],
)
def test_the_return_path_leads_here(dns: LocalDNS, zone: str, status: DNSStatus, error: str) -> None:
    dns.load(zone)
    finding = find("return_path")
    publish = " Publish the CNAME rp.example.com → rp.postal."
    assert (finding.status, finding.error) == (status, error + publish if error else "")


# --- MX --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "status", "error"),
    [
        (["10 mx1.postal.", "20 mx2.postal."], OK, ""),
        (["10 MX2.Postal.", "10 mx1.postal.", "5 other.example."], OK, ""),
        (
            ["10 mx1.postal.", "5 other.example."],
            INVALID,
            "Not every expected host is among the MX records. Publish MX records at example.com for mx2.postal.",
        ),
        (
            ["10 other.example."],
            MISSING,
            (
                "The MX records name other.example and none of this platform's hosts. "
                "Publish MX records at example.com for mx1.postal and mx2.postal."
            ),
        ),
        (
            ["0 ."],
            INVALID,
            (
                "The MX record says that example.com accepts no mail. "
                "Publish MX records at example.com for mx1.postal and mx2.postal."
            ),
        ),
    ],
)
def test_every_expected_host_receives(dns: LocalDNS, hosts: list[str], status: DNSStatus, error: str) -> None:
    dns.load("\n".join(f"example.com. 60 IN MX {host}" for host in hosts))
    finding = find("mx")
    assert (finding.status, finding.error) == (status, error)


# --- DMARC -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "status", "error"),
    [
        (["v=DMARC1; p=none"], OK, ""),
        (
            ["v=DMARC1;p=reject;sp=quarantine;adkim=s;aspf=s;pct=50;rua=mailto:d@example.com!10m,https://r.example/"],
            OK,
            "",
        ),
        (["v=DMARC1; P=Quarantine; fo=1; unknown=x;"], OK, ""),
        (["v=DMARC1; rua=mailto:d@example.com"], OK, ""),
        (["v=DMARC1; p=none", "unrelated"], OK, ""),
        (
            ["v=DMARC1; p=none", "v=DMARC1; p=reject"],
            INVALID,
            "There are 2 DMARC records, so receivers ignore all of them: keep one.",
        ),
        (["v=DMARC1"], INVALID, "The DMARC record is wrong: it names no policy (p=none, p=quarantine or p=reject)."),
        (["v=DMARC1; p=monitor"], INVALID, "The DMARC record is wrong: “p=monitor” is not none, quarantine or reject."),
        (
            ["v=DMARC1; p=none; sp=all"],
            INVALID,
            "The DMARC record is wrong: “sp=all” is not none, quarantine or reject.",
        ),
        (
            ["v=DMARC1; p=none; aspf=x"],
            INVALID,
            "The DMARC record is wrong: “aspf=x” is not r (relaxed) or s (strict).",
        ),
        (["v=DMARC1; p=none; pct=101"], INVALID, "The DMARC record is wrong: “pct=101” is not a number from 0 to 100."),
        (
            ["v=DMARC1; p=none; rua=d@example.com"],
            INVALID,
            "The DMARC record is wrong: “rua=d@example.com” is not an address such as mailto:dmarc@example.com.",
        ),
        (["v=DMARC1; p=none; p=reject"], INVALID, "The DMARC record is wrong: “p=” occurs twice."),
        (
            ["v=DMARC1; p=none;\u00a0rua=mailto:d@example.com"],
            INVALID,
            "The DMARC record is wrong: it has no-break spaces, which look like blanks: replace them with blanks.",
        ),
        (
            ["v=DMARC1\u00a0; p=none"],
            INVALID,
            (
                "“v=DMARC1\u00a0; p=none” is not a DMARC record: it has no-break spaces, which look like blanks: replace them "
                "with blanks."
            ),
        ),
        (["v=DMARC1; none"], INVALID, "The DMARC record is wrong: “none” is not a tag=value pair."),
        (["v=dmarc1; p=none"], INVALID, "“v=dmarc1; p=none” is not a DMARC record: it must begin with “v=DMARC1;”."),
        (
            ['"v=DMARC1; p=none"'],
            INVALID,
            '“"v=DMARC1; p=none"” is not a DMARC record: it has quotation marks as part of its text: remove them.',
        ),
        (
            [" v=DMARC1; p=none"],
            INVALID,
            "“ v=DMARC1; p=none” is not a DMARC record: it begins with a blank: remove it.",
        ),
        (
            ["v=DMARC1.0; p=none"],
            INVALID,
            "“v=DMARC1.0; p=none” is not a DMARC record: it must begin with “v=DMARC1;”.",
        ),
        (
            ["p=none; v=DMARC1"],
            INVALID,
            "“p=none; v=DMARC1” is not a DMARC record: it must begin with “v=DMARC1;”.",
        ),
        (
            ["p=MIIBIjANBg"],
            MISSING,
            (
                "There is no DMARC record at _dmarc.example.com. "
                "Publish the TXT record “v=DMARC1; p=none” at _dmarc.example.com."
            ),
        ),
    ],
)
def test_the_owners_own_policy_is_respected(dns: LocalDNS, texts: list[str], status: DNSStatus, error: str) -> None:
    put(dns, "_dmarc.example.com", *texts)
    finding = find("dmarc")
    assert (finding.status, finding.error) == (status, error)


def test_hostile_texts_are_cut_and_harm_nothing(dns: LocalDNS) -> None:
    # As much as is read of an answer.
    long = "v=spf1 " + "x" * 11_000
    put(dns, "example.com", long, "postal-verify " + '\x00\\"' * 1_000)
    put(dns, DKIM_NAME, "v=DKIM1; p=" + "A" * 15_000)
    put(dns, "_dmarc.example.com", "v=DMARC1; p=" + "z" * 15_000)
    findings = examine(EXPECTED, Resolver())
    assert {check: findings[check].status for check in ("verification", "spf", "dkim", "dmarc")} == {
        "verification": INVALID,
        "spf": INVALID,
        "dkim": INVALID,
        "dmarc": INVALID,
    }
    assert all(len(finding.error) < 1_200 and len(finding.answer) < 9_000 for finding in findings.values())
