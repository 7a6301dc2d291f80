"""The check of a domain's DKIM record, against a real DNS server."""

import pytest

from dnschecks import dkim
from dnschecks.checked import DNSStatus
from tests.dns_server import LocalDNS
from tests.servers.dns_example import DKIM, DKIM_NAME, INVALID, KEY, MISSING, OK, find, put, txt

pytestmark = pytest.mark.server


OTHER_KEY = dkim.make_key_pair().public


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (DKIM, OK, ""),
        (f"p={KEY}", OK, ""),
        (f"v=DKIM1;k=rsa;p={KEY};", OK, ""),
        (f"v=DKIM1; p={KEY[:100]} {KEY[100:200]}\t{KEY[200:]}", OK, ""),
        (f"v=DKIM1; s=email:other; h=sha1:sha256; p={KEY}", OK, ""),
        (f"v=DKIM1; p={OTHER_KEY}", INVALID, "The DKIM record has another key."),
        (f"v=DKIM1; p={KEY[:-20]}", INVALID, "The DKIM record's key is damaged, perhaps cut when it was pasted."),
        (f"v=DKIM1; p={KEY.lower()}", INVALID, "The DKIM record's key is damaged, perhaps cut when it was pasted."),
        ("v=DKIM1; p=", INVALID, "The DKIM record is wrong: its key is revoked (p= is empty)."),
        ("v=DKIM1; k=rsa", INVALID, "The DKIM record is wrong: it has no key (p=)."),
        (f"v=DKIM2; p={KEY}", INVALID, "The DKIM record is wrong: it does not begin with “v=DKIM1;”."),
        (f"p={KEY}; v=DKIM1", INVALID, "The DKIM record is wrong: it does not begin with “v=DKIM1;”."),
        (
            f"v=DKIM1; k=ed25519; p={KEY}",
            INVALID,
            "The DKIM record is wrong: it says that its key is of type “ed25519”, not rsa.",
        ),
        (f"v=DKIM1; h=sha1; p={KEY}", INVALID, "The DKIM record is wrong: it does not allow sha256 (h=)."),
        (f"v=DKIM1; s=tlsrpt; p={KEY}", INVALID, "The DKIM record is wrong: it does not allow e-mail (s=)."),
        (f"v=DKIM1; p={KEY}; p={KEY}", INVALID, "The DKIM record is wrong: “p=” occurs twice."),
        (
            "v=DKIM1;\u00a0p=AQAB",
            INVALID,
            "The DKIM record is wrong: it has no-break spaces, which look like blanks: replace them with blanks.",
        ),
        (
            "v=DKIM1; p=AQ\u200bAB",
            INVALID,
            "The DKIM record is wrong: it has characters that are not shown: type it again, or remove them.",
        ),
        ("grüße", INVALID, "The DKIM record is wrong: “grüße” is not a tag=value pair."),
        ("hello", INVALID, "The DKIM record is wrong: “hello” is not a tag=value pair."),
    ],
)
def test_the_dkim_record_must_have_our_key(dns: LocalDNS, text: str, status: DNSStatus, error: str) -> None:
    put(dns, DKIM_NAME, text)
    finding = find("dkim")
    publish = f" Publish the TXT record “{DKIM}” at {DKIM_NAME}."
    assert (finding.status, finding.error) == (status, error + publish if error else "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f'"{DKIM}"', "it has quotation marks as part of its text: remove them"),
        (DKIM.replace(";", "\\;"), "it has backslashes before its semicolons: remove them"),
    ],
)
def test_a_dkim_record_as_a_zone_file_has_it_is_told_as_such(dns: LocalDNS, text: str, fault: str) -> None:
    put(dns, DKIM_NAME, text)
    finding = find("dkim")
    assert (finding.status, finding.error) == (
        INVALID,
        (f"Verifiers cannot use the DKIM record: {fault}. Publish the TXT record “{DKIM}” at {DKIM_NAME}."),
    )


def test_a_dkim_record_with_the_strings_of_a_zone_file_in_it_is_told_as_such(dns: LocalDNS) -> None:
    put(dns, DKIM_NAME, f'v=DKIM1; p={KEY[:200]}" "{KEY[200:]}')
    assert find("dkim").error == (
        f"The DKIM record's key has quotation marks in it: remove them. Publish the TXT record “{DKIM}” at {DKIM_NAME}."
    )


@pytest.mark.parametrize(
    ("text", "is_testing"),
    [(f"v=DKIM1; k=rsa; t=y; p={KEY}", True), (f"k=rsa; t=s:Y; p={KEY}", True), (f"v=DKIM1; t=s; p={KEY}; n=y", False)],
)
def test_a_dkim_record_that_is_being_tested_deserves_a_warning(dns: LocalDNS, text: str, *, is_testing: bool) -> None:
    put(dns, DKIM_NAME, text)
    finding = find("dkim")
    warning = (
        "The record says that DKIM is being tested (“t=y”), so receivers may treat signed mail as unsigned: remove “y”."
    )
    assert (finding.status, finding.error, finding.warning) == (OK, "", warning if is_testing else "")


@pytest.mark.parametrize(
    ("check", "short", "record"),
    [
        ("dkim", "postal-abc._domainkey", 'TXT "v=DKIM1; p=x"'),
        ("return_path", "rp", "CNAME rp.postal."),
        ("dmarc", "_dmarc", 'TXT "v=DMARC1; p=none"'),
    ],
)
def test_a_record_with_the_domain_twice_is_found(dns: LocalDNS, check: str, short: str, record: str) -> None:
    dns.load(f"{short}.example.com.example.com. 60 IN {record}")
    finding = find(check)
    begin, _, publish = finding.error.partition("Publish ")
    assert (finding.status, begin) == (
        MISSING,
        (
            f"The name {short}.example.com does not exist. There is one at {short}.example.com.example.com: "
            f"the DNS host appends the domain, so enter the name as “{short}”. "
        ),
    )
    assert publish


@pytest.mark.parametrize(
    ("check", "record"),
    [
        ("verification", 'TXT "postal-verify TOKEN"'),
        ("spf", 'TXT "v=spf1 ip4:192.0.2.0/24 -all"'),
        ("mx", "MX 10 mx1.postal."),
    ],
)
@pytest.mark.parametrize("beside", ["", '\nexample.com. 60 IN TXT "x"\nexample.com. 60 IN MX 10 mx.other.'])
def test_a_record_of_the_domain_itself_with_the_domain_twice_is_found(
    dns: LocalDNS, check: str, record: str, beside: str
) -> None:
    dns.load(f"example.com.example.com. 60 IN {record}{beside}")
    finding = find(check)
    assert finding.status == MISSING
    assert (
        " There is one at example.com.example.com: the DNS host appends the domain, so enter the name as “@”, or leave it "
        "empty. Publish "
    ) in finding.error
    # A wildcard's is not one.
    dns.remove("example.com.example.com", record.split()[0])
    dns.load(f"*.example.com. 60 IN {record}")
    assert "appends" not in find(check).error


@pytest.mark.parametrize("wildcard", ['TXT "v=spf1 -all"', "CNAME example.com."])
@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("dmarc", "There is no DMARC record at _dmarc.example.com. Publish "),
        ("dkim", ("The 2 TXT records at postal-abc._domainkey.example.com are not DKIM records, perhaps they are those of a "
                 "wildcard. Publish ")),
    ],
)  # fmt: skip
def test_what_a_wildcard_answers_is_no_record_with_the_domain_twice(
    dns: LocalDNS, wildcard: str, check: str, said: str
) -> None:
    put(dns, "example.com", "v=spf1 -all", "google-site-verification=x")
    dns.load(f"*.example.com. 60 IN {wildcard}\n")
    if wildcard.startswith("TXT"):
        dns.load('*.example.com. 60 IN TXT "another=1"\n')
    finding = find(check)
    assert finding.status == MISSING
    assert finding.error.startswith(said)


def test_other_texts_of_the_domain_are_not_denied(dns: LocalDNS) -> None:
    put(dns, "example.com", "v=spf1 -all", "google-site-verification=x")
    finding = find("verification")
    assert (finding.status, finding.error) == (
        MISSING,
        "There is no verification record at example.com. Publish the TXT record “postal-verify TOKEN” at example.com.",
    )


SEVERAL = f"There are 2 TXT records at {DKIM_NAME}, and verifiers may use any of them"


@pytest.mark.parametrize("other", ["v=DKIM1; p=", f"v=DKIM1; p={OTHER_KEY}", "a note"])
def test_of_several_dkim_records_the_one_to_keep_is_named(dns: LocalDNS, other: str) -> None:
    put(dns, DKIM_NAME, other, DKIM)
    finding = find("dkim")
    assert (finding.status, finding.error) == (INVALID, f"{SEVERAL}: leave only “{DKIM}”.")


def test_several_dkim_records_without_our_key_are_to_be_removed(dns: LocalDNS) -> None:
    put(dns, DKIM_NAME, f"v=DKIM1; p={OTHER_KEY}", "v=DKIM1; p=")
    finding = find("dkim")
    assert (finding.status, finding.error) == (
        INVALID,
        f"{SEVERAL}, but none has this platform's key: remove them. Publish the TXT record “{DKIM}” there.",
    )


def test_the_one_text_of_a_wildcard_is_no_wrong_dkim_record(dns: LocalDNS) -> None:
    dns.load('*.example.com. 60 IN TXT "v=spf1 -all"')
    finding = find("dkim")
    assert (finding.status, finding.error) == (
        MISSING,
        (
            f"The TXT record at {DKIM_NAME} is not a DKIM record, it is that of a wildcard. "
            f"Publish the TXT record “{DKIM}” at {DKIM_NAME}."
        ),
    )


def test_the_dkim_record_may_be_elsewhere_by_cname(dns: LocalDNS) -> None:
    dns.load(f"{DKIM_NAME}. 60 IN CNAME key.example.org.\n{txt('key.example.org', DKIM)}")
    assert find("dkim").status == OK


def test_a_loop_of_cnames_is_named(dns: LocalDNS) -> None:
    dns.load(f"{DKIM_NAME}. 60 IN CNAME b.example.org.\nb.example.org. 60 IN CNAME {DKIM_NAME}.")
    finding = find("dkim")
    assert finding.status == MISSING
    assert finding.error.startswith(f"The CNAMEs of {DKIM_NAME} form a loop. Publish")
