"""The one SPF record that is proposed for a name: what it has, put right, with what it lacks."""

import time

import pytest

from dnschecks import spf_record
from dnschecks.near_misses import spf_fault
from dnschecks.spf_repair import completed
from tests.slowness import on_this_machine

TERMS = ["ip4:192.0.2.1", "include:_spf.postal"]
OURS = "ip4:192.0.2.1 include:_spf.postal"


@pytest.mark.parametrize(
    ("found", "proposed"),
    [
        ("v=spf1 -all", f"v=spf1 {OURS} -all"),
        ("v=spf1 include:_spf.google.com ~all", f"v=spf1 {OURS} include:_spf.google.com ~all"),
        ("v=spf1 redirect=_spf.google.com", f"v=spf1 {OURS} redirect=_spf.google.com"),
        # What it has stays, also where it lacks nothing.
        (f"v=spf1 mx {OURS} -all", f"v=spf1 mx {OURS} -all"),
        ("V=SPF1 MX +IP4:192.0.2.1 Include:_spf.POSTAL -ALL", "v=spf1 MX +IP4:192.0.2.1 Include:_spf.POSTAL -ALL"),
        (
            "v=spf1 ip4:192.0.2.0/24 ip6:::/0 ip4:x -all",
            "v=spf1 include:_spf.postal ip4:192.0.2.0/24 ip6:::/0 ip4:x -all",
        ),
        ("v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all", f"v=spf1 {OURS} -ip4:192.0.2.1 ip4:192.0.2.0/24 -all"),
        ("v=spf1 ip4:198.51.100.0/24 -all", f"v=spf1 {OURS} ip4:198.51.100.0/24 -all"),
        # Behind `all`, or with another qualifier, a term lets nothing pass.
        (f"v=spf1 mx -all {OURS}", f"v=spf1 {OURS} mx -all"),
        (
            "v=spf1 ?ip4:192.0.2.1 include:_spf.postal -all",
            "v=spf1 ip4:192.0.2.1 ?ip4:192.0.2.1 include:_spf.postal -all",
        ),
        # Almost right.
        ('"v=spf1 mx -all"', f"v=spf1 {OURS} mx -all"),
        ("\u201cv=spf1 mx -all\u201d".encode().decode("latin-1"), f"v=spf1 {OURS} mx -all"),
        ("v=spf1; mx; -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf1, mx, -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf1mx -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf1-all", f"v=spf1 {OURS} -all"),
        (" v=spf1 mx  -all ", f"v=spf1 {OURS} mx -all"),
        ("spf1 mx -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf10 mx -all", f"v=spf1 {OURS} mx -all"),
        ("v = spf1 mx -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf1 include=_spf.postal ip4=192.0.2.1 mx -all", "v=spf1 include:_spf.postal ip4:192.0.2.1 mx -all"),
        # As answers have them: a character for each byte; and as master files have them.
        ("v=spf1 mx \u2013all".encode().decode("latin-1"), f"v=spf1 {OURS} mx -all"),
        ("v=spf1\\194\\160mx -all", f"v=spf1 {OURS} mx -all"),
        ("v=spf1 mx \\226\\128\\139-all", f"v=spf1 {OURS} mx -all"),
    ],
)
def test_it_works(found: str, proposed: str) -> None:
    assert completed([found, "google-site-verification=x"], TERMS) == proposed
    assert spf_fault(proposed) == ""
    if "ip4:x" not in proposed:
        spf_record.parse(proposed)


@pytest.mark.parametrize(
    ("found", "proposed"),
    [
        (("v=spf1 mx ~all", "v=spf1 a -all"), f"v=spf1 {OURS} mx a -all"),
        (("v=spf1 mx +all", "v=spf1 a"), f"v=spf1 {OURS} mx a ~all"),
        (("v=spf1 mx ?all", "v=spf1 MX a ~all"), f"v=spf1 {OURS} mx a ~all"),
        (("v=spf1 redirect=x.example", "v=spf1 mx -all"), f"v=spf1 {OURS} include:x.example mx -all"),
        # One that receivers do not see does not count beside one that they do.
        (("v=spf1 mx -all", '"v=spf1 a -all"'), f"v=spf1 {OURS} mx -all"),
        (('"v=spf1 mx -all"', "v=spf1; a ~all"), f"v=spf1 {OURS} mx a -all"),
        ((), f"v=spf1 {OURS} ~all"),
    ],
)
def test_several_are_made_one(found: tuple[str, ...], proposed: str) -> None:
    assert completed(found, TERMS) == proposed


def test_thousands_of_terms_beside_thousands_of_addresses_cost_little() -> None:
    found = "v=spf1 " + " ".join(f"ip4:{n % 200 + 1}.{n // 200}.2.0/25" for n in range(3_000)) + " -all"
    own = [f"ip4:{n % 200 + 1}.{n // 200}.2.{n % 2 * 128 + 5}" for n in range(3_000)]
    began = time.process_time()
    proposed = completed([found], own)
    assert time.process_time() - began < on_this_machine(1)
    assert proposed.split()[1:1501] == own[1::2]


def test_a_network_within_another_hides_nothing_behind_it() -> None:
    assert completed(["v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.16/28 ip6:2001:db8::/32 -all"], ["ip4:192.0.2.77"]) == (
        "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.16/28 ip6:2001:db8::/32 -all"
    )
    assert completed(["v=spf1 ip4:192.0.2.16/28 ip4:198.51.100.0/24 -all"], ["ip4:192.0.2.77"]) == (
        "v=spf1 ip4:192.0.2.77 ip4:192.0.2.16/28 ip4:198.51.100.0/24 -all"
    )
