"""Blocklists, asked of a real DNS server: what is a listing, what is none, and which zones are not believed."""

import pytest

from dnschecks.dnsbl import (
    BadRanges,
    Zone,
    check_addresses,
    check_zone,
    question,
    read_ranges,
    written_ranges,
)
from dnschecks.resolver import Resolver
from tests.dns_server import GARBLED, REFUSED, SERVFAIL, SILENT, LocalDNS

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("impatient")]

TEST_ENTRY = "2.0.0.127.bl.example. 60 IN A 127.0.0.2\n"
ZONE = Zone("bl.example", read_ranges("127.0.0.2-127.0.0.11"))
BOTH = Zone("bl.example", read_ranges("127.0.0.2"), families=(4, 6))
OURS = "192.0.2.1"
NIBBLES = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
TEST6 = "2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20


def asked(zone=ZONE, *addresses):
    found = check_addresses(zone, addresses or (OURS,), Resolver())
    return found.status, found.error


def believed(zone=ZONE):
    found = check_zone(zone, Resolver())
    return found.status, found.error


def test_it_works(dns: LocalDNS):
    dns.load(TEST_ENTRY)
    assert believed() == ("ok", "")
    assert asked() == ("ok", "")
    dns.load('1.2.0.192.bl.example. 60 IN A 127.0.0.4\n1.2.0.192.bl.example. 60 IN TXT "Spam source, see https://bl"')
    found = check_addresses(ZONE, (OURS,), Resolver())
    assert (found.status, found.error) == (
        "invalid",
        "bl.example lists 192.0.2.1 (127.0.0.4). “Spam source, see https://bl”",
    )
    assert found.facts == {"listed": OURS, "codes": "127.0.0.4", "text": "Spam source, see https://bl"}


def test_an_ipv6_address_is_asked_for_by_nibbles(dns: LocalDNS):
    assert question("2001:db8::1", "bl.example") == f"{NIBBLES}.bl.example"
    dns.load(TEST_ENTRY + f"{TEST6}.bl.example. 60 IN A 127.0.0.2\n{NIBBLES}.bl.example. 60 IN A 127.0.0.2")
    assert believed(BOTH) == ("ok", "")
    assert asked(BOTH, OURS, "2001:db8::1") == ("invalid", "bl.example lists 2001:db8::1 (127.0.0.2).")
    # A zone of IPv4 addresses is not asked about others.
    assert asked(ZONE, OURS, "2001:db8::1") == ("ok", "")
    assert asked(ZONE, "2001:db8::1") == (None, "No public address of a family that the zone lists.")
    assert dns.questions()[f"{NIBBLES}.bl.example", "A"] == 1


@pytest.mark.parametrize("answer", ["127.0.0.1", "127.0.0.12", "127.255.254.9", "192.0.2.80", "10.0.0.1"])
def test_an_answer_out_of_the_documented_range_is_no_listing(dns: LocalDNS, answer):
    dns.load(TEST_ENTRY + f"1.2.0.192.bl.example. 60 IN A {answer}")
    found = check_addresses(ZONE, (OURS,), Resolver())
    assert (found.status, found.warning) == ("ok", f"Answers out of the documented range: {answer}")


@pytest.mark.parametrize("answer", ["127.255.255.252", "127.255.255.254", "127.255.255.255"])
def test_a_refusal_is_no_listing(dns: LocalDNS, answer):
    dns.load(f"*.bl.example. 60 IN A {answer}")
    assert asked() == (None, f"bl.example refuses this resolver: it answered {answer}.")
    assert believed() == (
        "invalid",
        f"bl.example refuses this resolver: it answered {answer}. Its answers are not used.",
    )


@pytest.mark.parametrize("kind", [SILENT, SERVFAIL, REFUSED, GARBLED])
def test_a_failing_resolver_lists_nobody(dns: LocalDNS, kind):
    dns.load(TEST_ENTRY + "1.2.0.192.bl.example. 60 IN A 127.0.0.2")
    dns.fault("1.2.0.192.bl.example", kind)
    assert asked()[0] is None
    dns.heal()
    # Nor does one whose test entry cannot be asked for.
    dns.fault("1.0.0.127.bl.example", kind)
    assert asked()[0] is None
    assert believed()[0] is None


def test_a_zone_that_answers_everything_is_not_believed(dns: LocalDNS):
    dns.load("*.bl.example. 60 IN A 127.0.0.2")
    assert believed() == (
        "invalid",
        "bl.example lists 127.0.0.1 (127.0.0.2), as a zone does that answers everything. Its answers are not used.",
    )
    # Also where it began to since its test entries were looked at.
    assert asked() == (None, "bl.example answers everything: it lists 127.0.0.1 too.")


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("", "no such name"),
        ("other.bl.example. 60 IN A 127.0.0.2", "no such name"),
        ("2.0.0.127.bl.example. 60 IN A 198.51.100.1", "it answered 198.51.100.1"),
        ('2.0.0.127.bl.example. 60 IN TXT "moved"', "no data"),
    ],
)
def test_a_zone_that_does_not_list_its_test_entry_is_not_believed(dns: LocalDNS, zone, told):
    dns.load(zone)
    assert believed() == (
        "invalid",
        (
            f"bl.example does not list its test entry 127.0.0.2 within 127.0.0.2-127.0.0.11 ({told}). "
            "Its answers are not used."
        ),
    )


def test_what_a_zone_says_is_bounded(dns: LocalDNS):
    long = "x" * 250
    dns.load(f'1.2.0.192.bl.example. 60 IN A 127.0.0.2\n1.2.0.192.bl.example. 60 IN TXT "a\tb" "{long}" "{long}"')
    text = check_addresses(ZONE, (OURS,), Resolver()).facts["text"]
    assert text.startswith("a b")
    assert len(text) == 300


def test_ranges_are_read():
    ranges = read_ranges(" 127.0.0.2 - 127.0.0.11,127.0.0.20 ,")
    assert written_ranges(ranges) == "127.0.0.2-127.0.0.11, 127.0.0.20"
    assert [Zone("bl.example", ranges).documents(f"127.0.0.{last}") for last in (1, 2, 11, 12, 20, 21)] == [
        False, True, True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", ",", "many", "-127.0.0.2", "127.0.0.2-127.0.0.x", "127.0.0.9-127.0.0.2", "10.0.0.2", "127.0.0.1",
     "127.0.0.0-127.0.0.9", "127.255.255.254", "127.0.0.2-127.255.255.0", "::1", ",".join(["127.0.0.2"] * 21)],
)  # fmt: skip
def test_it_rejects_what_is_no_range(text):
    with pytest.raises(BadRanges):
        read_ranges(text)
