"""Wanted and found values of DNS records: what is compared with what, and where they differ."""

import pytest

from panel.dns_differences import Difference, difference, found_for
from servers.dns_records import DNSRecord
from servers.dns_wanted import values_of, wanted_for


@pytest.mark.parametrize(
    ("wanted", "found", "parts"),
    [
        ("rp.postal", "elsewhere.postal", ("", "rp", "elsewhere", ".postal")),
        ("v=spf1 ip4:1 ~all", "v=spf1 ~all", ("v=spf1 ", "ip4:1 ", "", "~all")),
        # Terms are marked whole.
        ("v=spf1 ip4:1 include:x ~all", "v=spf1 include:x ~all", ("v=spf1 ", "ip4:1 ", "", "include:x ~all")),
        # What both begin with is not counted at their ends again.
        ("aXaa", "aaa", ("a", "X", "", "aa")),
        ("p=ABCDEF", "p=ABC", ("p=ABC", "DEF", "", "")),
        ("same", "same", ("same", "", "", "")),
    ],
)
def test_it_works(wanted, found, parts):
    assert difference(wanted, found) == Difference(*parts)


def test_values_are_read_from_master_files():
    answer = (
        'mail.example. 60 IN TXT "v=spf1 " "-all"\n'
        'mail.example. 60 IN TXT "a \\"b\\" \\\\ c"\n'
        "mail.example. 60 IN MX 10 MX.postal.\n"
        "(mail.example A: no data)\n"
        "rp.mail.example. 60 IN CNAME rp.postal.\n…"
    )
    assert values_of(answer, "TXT") == ["v=spf1 -all", 'a "b" \\ c']
    assert values_of(answer, "MX") == ["mx.postal"]
    assert values_of(answer, "CNAME") == ["rp.postal"]
    assert values_of("(mail.example TXT: no such name)", "TXT") == []


def test_the_record_that_was_meant_is_found():
    proof = DNSRecord("verification", "TXT", "mail.example", "@", "postal-verify abc")
    answer = 'mail.example. 60 IN TXT "v=spf1 -all"\nmail.example. 60 IN TXT "postal-verify abd"'
    assert found_for(proof, answer) == "postal-verify abd"
    assert found_for(proof, 'mail.example. 60 IN TXT "v=spf1 -all"') is None
    # At a name of its own, whatever is there stands in its place.
    key = DNSRecord("dkim", "TXT", "a._domainkey.mail.example", "a._domainkey", "v=DKIM1; p=A")
    assert found_for(key, 'a._domainkey.mail.example. 60 IN TXT "hello"') == "hello"
    mx = DNSRecord("mx", "MX", "mail.example", "@", "mx1.postal", 10)
    both = "mail.example. 60 IN MX 10 other.example.\nmail.example. 60 IN MX 10 mx1.postal."
    assert found_for(mx, both) == "mx1.postal"
    assert found_for(mx, "mail.example. 60 IN MX 10 other.example.") is None


SPF = DNSRecord("spf", "TXT", "mail.example", "@", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 ~all")


def answered(*texts):
    return "\n".join(f'mail.example. 60 IN TXT "{each}"' for each in texts)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (
            ["v=spf1 include:other.example ip4:192.0.2.8 -all"],
            "v=spf1 ip4:192.0.2.1 include:other.example ip4:192.0.2.8 -all",
        ),
        # No sender that is in it is taken out: where it is only a term's place that is wrong, or a sign.
        (
            ["v=spf1 include:other.example -all ip4:192.0.2.1 ip4:192.0.2.8"],
            "v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 include:other.example -all",
        ),
        (['\\"v=spf1 include:other.example -all\\"'], "v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 include:other.example -all"),
        (["v=spf1; include:other.example; -all"], "v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 include:other.example -all"),
        (
            ["v=spf1 include:one.example ~all", "v=spf1 include:two.example -all"],
            "v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 include:one.example include:two.example -all",
        ),
        # Nothing to be added would make these pass: a sentence says why they do not.
        (["v=spf1 ip4:192.0.2.1 ip4:192.0.2.8 include:gone.example -all"], None),
        (["v=spf1 ip4:192.0.2.0/24 include:gone.example -all"], None),
        (["v=spf1 ipv4:192.0.2.1 -all"], None),
        ([], SPF.value),
        (["google-site-verification=x"], SPF.value),
        # Sender ID's, which stands beside an SPF record.
        (["spf2.0/mfrom,pra ip4:192.0.2.7 -all"], SPF.value),
    ],
)
def test_what_an_spf_record_lacks_goes_into_it(found, wanted):
    assert wanted_for(SPF, answered(*found)) == wanted


def test_a_guess_is_no_reason_to_let_more_addresses_pass():
    guess = DNSRecord("spf", "TXT", "mail.example", "@", "v=spf1 a mx ~all")
    assert wanted_for(guess, "") == guess.value
    assert wanted_for(guess, answered("v=spf1; -all")) == "v=spf1 -all"
