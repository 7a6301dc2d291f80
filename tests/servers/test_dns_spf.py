"""SPF: evaluated for every address that sends, against a real DNS server; the RFC's own cases are in tests/core/rfc7208."""

from dataclasses import replace

import pytest

from dnschecks.checked import DNSStatus
from servers.dns_records import Sending
from tests.dns_server import SERVFAIL, SILENT, LocalDNS
from tests.servers.dns_example import EXPECTED, INVALID, MISSING, OK, find, put

pytestmark = pytest.mark.server

INCLUDED = """
_spf.postal. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
few.postal. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"
void.postal. 60 IN TXT "v=spf1 a:gone1.postal mx:gone2.postal exists:gone3.postal -all"
"""
CHAIN = "\n".join(f'c{n}.postal. 60 IN TXT "v=spf1 include:c{n + 1}.postal -all"' for n in range(1, 11)) + (
    '\nc11.postal. 60 IN TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"'
)


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", ""),
        ("V=SPF1 IP4:192.0.2.0/24 IP6:2001:DB8::/32 -ALL", ""),
        ("v=spf1 include:_spf.postal ~all", ""),
        ("v=spf1 include:_SPF.Postal. ~all", ""),
        ("v=spf1 redirect=_spf.postal", ""),
        ("v=spf1 +all", ""),
        # Ten look-ups are allowed, the eleventh is not.
        ("v=spf1 include:c2.postal -all", ""),
        (
            "v=spf1 include:c1.postal -all",
            (
                "The SPF record cannot be evaluated: it needs more than 10 DNS look-ups (“include:c1.postal” 11). Remove "
                "unused terms, or replace the largest term with its networks (ip4:, ip6:)."
            ),
        ),
        (
            "v=spf1 include:gone.postal -all",
            "The SPF record cannot be evaluated: example.com includes gone.postal, which has no SPF record.",
        ),
        (
            "v=spf1 a:gone1.postal a:gone2.postal a:gone3.postal +all",
            (
                "The SPF record cannot be evaluated: more than 2 names it asks for do not exist, the last is gone3.postal. "
                "Remove “a:gone1.postal”, “a:gone2.postal” and “a:gone3.postal”."
            ),
        ),
        (
            "v=spf1 include:void.postal +all",
            (
                "The SPF record cannot be evaluated: more than 2 names it asks for do not exist, the last is gone3.postal. "
                "“include:void.postal” leads to them."
            ),
        ),
        (
            "v=spf1 ip4:192.0.2.0/33 -all",
            (
                "The SPF record cannot be evaluated: the SPF record of example.com is malformed: “ip4:192.0.2.0/33” has a "
                "prefix length that is not from 0 to 32."
            ),
        ),
        (
            "v=spf1 include: -all",
            (
                "The SPF record cannot be evaluated: the SPF record of example.com is malformed: “include:” is wrong: "
                "a domain name is missing."
            ),
        ),
        (
            "v=spf1 ipv4:192.0.2.0 -all",
            (
                "The SPF record cannot be evaluated: the SPF record of example.com is malformed: “ipv4:192.0.2.0” is not "
                "an SPF term."
            ),
        ),
        # A text editor's dash: a sentence shows what was typed.
        (
            "v=spf1 ip4:192.0.2.0/24 \N{EN DASH}all",
            (
                "The SPF record cannot be evaluated: the SPF record of example.com is malformed: “\N{EN DASH}all” is not an "
                "SPF term."
            ),
        ),
        # Text search would be content with these.
        (
            "v=spf1 -all include:_spf.postal",
            (
                "192.0.2.1, 192.0.2.9 and 2001:db8::9 do not pass (fail by “-all”). Put “ip4:192.0.2.1 ip4:192.0.2.9 "
                "ip6:2001:db8::9” after “v=spf1” in “v=spf1 -all include:_spf.postal”."
            ),
        ),
        (
            "v=spf1 ?include:_spf.postal ~all",
            (
                "192.0.2.1, 192.0.2.9 and 2001:db8::9 do not pass (neutral by “?include:_spf.postal”). Put “ip4:192.0.2.1 "
                "ip4:192.0.2.9 ip6:2001:db8::9” after “v=spf1” in “v=spf1 ?include:_spf.postal ~all”."
            ),
        ),
        (
            "v=spf1 include:few.postal ip4:192.0.2.9 ~all",
            (
                "2001:db8::9 does not pass (softfail by “~all”). Put “ip6:2001:db8::9” after “v=spf1” in "
                "“v=spf1 include:few.postal ip4:192.0.2.9 ~all”."
            ),
        ),
        (
            "v=spf1 ip6:2001:db8::9",
            (
                "192.0.2.1 and 192.0.2.9 do not pass (neutral: no term matches). Put “ip4:192.0.2.1 ip4:192.0.2.9” after "
                "“v=spf1” in “v=spf1 ip6:2001:db8::9”."
            ),
        ),
    ],
)
def test_spf_is_evaluated_for_every_address(dns: LocalDNS, record: str, error: str) -> None:
    dns.load(INCLUDED + CHAIN)
    put(dns, "example.com", record)
    finding = find("spf")
    assert (finding.status, finding.error) == (INVALID if error else OK, error)


@pytest.mark.parametrize(
    ("record", "status", "error", "warning"),
    [
        (
            "v=spf1 ip4=192.0.2.0/24 include:_spf.postal -all",
            OK,
            "",
            "Receivers ignore “ip4=192.0.2.0/24”: write “ip4:192.0.2.0/24”.",
        ),
        (
            "v=spf1 include=_spf.postal +all",
            OK,
            "",
            (
                "Receivers ignore “include=_spf.postal”: write “include:_spf.postal”. “+all” passes every address, so anyone "
                "can send as example.com. End the record with “~all” or “-all”."
            ),
        ),
        (
            "v=spf1 include=_spf.postal ip4:192.0.2.0/24 ~all",
            INVALID,
            (
                "Receivers ignore “include=_spf.postal”: write “include:_spf.postal”. 2001:db8::9 does not pass (softfail by "
                "“~all”). Put “ip6:2001:db8::9” after “v=spf1” in “v=spf1 include=_spf.postal ip4:192.0.2.0/24 ~all”."
            ),
            "",
        ),
        ("v=spf1 redirect=_spf.postal data=x", OK, "", ""),
    ],
)
def test_a_term_that_receivers_ignore_for_its_equals_sign_is_named(
    dns: LocalDNS, record: str, status: DNSStatus, error: str, warning: str
) -> None:
    dns.load(INCLUDED)
    put(dns, "example.com", record)
    finding = find("spf")
    assert (finding.status, finding.error, finding.warning) == (status, error, warning)


@pytest.mark.parametrize("record", ["v=spf1 ip4:192.0.2.0/24\u00a0-all", "v=spf1 ip4:192.0.2.0/24 \u200b-all"])
def test_blanks_of_another_kind_are_told_from_blanks(dns: LocalDNS, record: str) -> None:
    put(dns, "example.com", record)
    finding = find("spf")
    fault = NO_BREAK if "\u00a0" in record else UNSEEN
    assert (finding.status, finding.error) == (INVALID, f"The SPF record cannot be evaluated: {fault}.")


OURS = "ip4:192.0.2.1 ip4:192.0.2.9 ip6:2001:db8::9"


@pytest.mark.parametrize(
    ("records", "merged"),
    [
        (("v=spf1 +all", "v=spf1 +all "), f"v=spf1 {OURS} ~all"),
        (
            ("v=spf1 include:_spf.google.com -all", "v=spf1 ip4:192.0.2.9 include:sendgrid.net ~all"),
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::9 include:_spf.google.com ip4:192.0.2.9 include:sendgrid.net -all",
        ),
    ],
)
def test_several_spf_records_are_wrong_even_when_each_is_right(
    dns: LocalDNS, records: tuple[str, str], merged: str
) -> None:
    put(dns, "example.com", *records)
    finding = find("spf")
    # Names answer with their records in any order.
    sentence, _, proposed = finding.error.partition(" as in ")
    assert (finding.status, sentence) == (
        INVALID,
        "There are 2 SPF records, and receivers accept only one: merge them,",
    )
    assert sorted(proposed.strip("“”.").split()) == sorted(merged.split())


NO_BREAK = "it has no-break spaces, which look like blanks: replace them with blanks"
UNSEEN = "it has characters that are not shown: type it again, or remove them"
QUOTED = "it has quotation marks as part of its text: remove them"
VERSION = "it must begin with “v=spf1”, in these characters and followed by a blank"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"v=spf1 +all"', QUOTED),
        ('"v=spf1 ip4:192.0.2.0/24 -all', QUOTED),
        ("“v=spf1 -all”", QUOTED),
        ("'v=spf1 -all'", QUOTED),
        (" v=spf1 +all", "it begins with a blank: remove it"),
        ("\u00a0v=spf1 +all", "it begins with a blank: remove it"),
        ("v=spf1\u00a0ip4:192.0.2.0/24 -all", NO_BREAK),
        ("v=sp\u200bf1 mx -all", UNSEEN),
        ("v=spf1\ufeff mx -all", UNSEEN),
        ("v=spf1; ip4:192.0.2.0/24; -all", "“v=spf1” must be followed by a blank, not by “;”"),
        ("v=spf1, mx -all", "“v=spf1” must be followed by a blank, not by “,”"),
        ("v=spf1include:_spf.postal -all", "a blank is missing after “v=spf1”"),
        ("v=spf1-all", "a blank is missing after “v=spf1”"),
        ("v=spf2 +all", VERSION),
        ("v=spf10 +all", VERSION),
        ("v = spf1 +all", VERSION),
        ("spf1 +all", VERSION),
    ],
)
def test_what_is_almost_an_spf_record_is_told_as_such(dns: LocalDNS, text: str, fault: str) -> None:
    put(dns, "example.com", "unrelated", text)
    finding = find("spf")
    assert (finding.status, finding.error) == (
        INVALID,
        f"Receivers do not take “{text}” for an SPF record: {fault}.",
    )


@pytest.mark.parametrize("text", ["spf2.0/pra -all", "google-site-verification=spf", "my spf", ""])
def test_other_texts_are_no_spf_record_at_all(dns: LocalDNS, text: str) -> None:
    put(dns, "example.com", text)
    assert find("spf").status == MISSING


ANYBODY = "“{}” passes every address, so anyone can send as example.com. "
END_IT = f"{ANYBODY}End the record with “~all” or “-all”."
# After it, no `all` is read.
REMOVE_IT = f"{ANYBODY}Remove it, or replace it with terms for the addresses that send."


@pytest.mark.parametrize(
    ("record", "warning"),
    [
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", ""),
        ("v=spf1 +all", END_IT.format("+all")),
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 all", END_IT.format("all")),
        (
            "v=spf1 ip6:2001:db8::/32 ip4:0.0.0.0/0 -all",
            REMOVE_IT.format("ip4:0.0.0.0/0").replace("every", "every IPv4"),
        ),
        ("v=spf1 ip4:192.0.2.0/24 ip6:::/0 ~all", REMOVE_IT.format("ip6:::/0").replace("every", "every IPv6")),
        ("v=spf1 include:open.postal -all", REMOVE_IT.format("include:open.postal")),
        ("v=spf1 redirect=open.postal", REMOVE_IT.format("redirect=open.postal")),
        (
            "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 mx include:c2.postal -all",
            (
                "For mail from other addresses the record cannot be evaluated: it needs more than 10 DNS look-ups "
                "(“include:c2.postal” 10 and “mx” 1). Remove unused terms, or replace the largest term "
                "with its networks (ip4:, ip6:)."
            ),
        ),
        (
            "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:gone.postal -all",
            (
                "For mail from other addresses the record cannot be evaluated: example.com includes gone.postal, which has no "
                "SPF record."
            ),
        ),
    ],
)
def test_a_record_that_passes_may_still_deserve_a_warning(dns: LocalDNS, record: str, warning: str) -> None:
    dns.load(INCLUDED + CHAIN + '\nopen.postal. 60 IN TXT "v=spf1 +all"\nexample.com. 60 IN MX 10 mx1.postal.')
    put(dns, "example.com", record)
    finding = find("spf")
    assert (finding.status, finding.error, finding.warning) == (OK, "", warning)


def test_the_table_of_look_ups_ends(dns: LocalDNS) -> None:
    """Records that include themselves and each other, many times: read at most thirty times, and no more asked."""
    many = " ".join(["include:a.postal include:b.postal"] * 10)
    for name in ("a.postal", "b.postal"):
        put(dns, name, f"v=spf1 {many} -all")
    put(dns, "example.com", f"v=spf1 include:a.postal include:%{{i}}.x.postal mx {many} -all")
    finding = find("spf")
    assert finding.status == INVALID
    assert "it needs more than 10 DNS look-ups (“include:a.postal” " in finding.error
    assert dns.questions()["a.postal", "TXT"] == 1


@pytest.mark.parametrize("kind", [SERVFAIL, SILENT])
@pytest.mark.usefixtures("impatient")
def test_an_include_that_cannot_be_asked_for_blames_nobody(dns: LocalDNS, kind: str) -> None:
    put(dns, "example.com", "v=spf1 include:_spf.postal -all")
    dns.fault("_spf.postal", kind)
    finding = find("spf")
    assert finding.status is None
    assert finding.error.startswith("SPF could not be evaluated: (_spf.postal TXT: ")


def test_an_address_that_surely_fails_is_named_though_others_could_not_be_evaluated(dns: LocalDNS) -> None:
    # `a` for IPv4 fails to be answered; for IPv6 it is answered, and does not match.
    put(dns, "example.com", "v=spf1 a:host.postal -all")
    dns.load("host.postal. 60 IN AAAA 2001:db8::1")
    dns.fault("host.postal", SERVFAIL, "A")
    finding = find("spf")
    assert finding.status == INVALID
    assert finding.error.startswith("2001:db8::9 does not pass")


def test_a_loop_of_cnames_is_a_void_look_up(dns: LocalDNS) -> None:
    dns.load("x.postal. 60 IN CNAME y.postal.\ny.postal. 60 IN CNAME x.postal.")
    put(dns, "example.com", "v=spf1 a:x.postal ip4:192.0.2.0/24 ip6:2001:db8::9 -all")
    assert find("spf").status == OK


def test_macros_are_expanded(dns: LocalDNS) -> None:
    dns.load("1.2.0.192.ok.postal. 60 IN A 127.0.0.2\na.acme.postal.helo.postal. 60 IN A 127.0.0.2")
    put(dns, "example.com", "v=spf1 exists:%{ir}.ok.postal ip4:192.0.2.9 ip6:2001:db8::9 -all")
    assert find("spf").status == OK
    put(dns, "example.com", "v=spf1 exists:%{h}.helo.postal ip4:192.0.2.9 ip6:2001:db8::9 -all")
    assert find("spf").status == OK
    put(dns, "example.com", "v=spf1 exists:%{i}.ok.postal ip4:192.0.2.9 ip6:2001:db8::9 -all")
    assert find("spf").error.startswith("192.0.2.1 does not pass")


def test_many_addresses_are_named_in_short(dns: LocalDNS) -> None:
    put(dns, "example.com", "v=spf1 -all")
    many = tuple(Sending(f"198.51.100.{n}", "h.acme.postal") for n in range(16, 32))
    finding = find("spf", replace(EXPECTED, sendings=many))
    assert finding.error == (
        "198.51.100.16, 198.51.100.17, 198.51.100.18, 198.51.100.19, 198.51.100.20 and 11 more do not pass (fail by “-all”). "
        "Put “ip4:198.51.100.16/28” after “v=spf1” in “v=spf1 -all”."
    )


def test_the_platforms_include_is_proposed_where_there_is_one(dns: LocalDNS) -> None:
    expected = replace(EXPECTED, spf_include="_spf.postal")
    dns.load("example.com. 60 IN A 192.0.2.1")
    assert find("spf", expected).error == (
        "There is no SPF record. Publish the TXT record “v=spf1 include:_spf.postal ~all” at example.com."
    )
    put(dns, "example.com", "v=spf1 -all")
    assert find("spf", expected).error.endswith("Put “include:_spf.postal” after “v=spf1” in “v=spf1 -all”.")


@pytest.mark.parametrize(("record", "status"), [("v=spf1 -all", OK), ("v=spf1 foo -all", INVALID)])
def test_without_addresses_the_record_must_only_be_sound(dns: LocalDNS, record: str, status: DNSStatus) -> None:
    put(dns, "example.com", record)
    assert find("spf", replace(EXPECTED, sendings=())).status == status
