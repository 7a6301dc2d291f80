"""Whatever somebody publishes, a check ends with a finding: records are parsed or refused, never more."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnschecks import dkim, dmarc, spf
from dnschecks.resolver import Resolver
from dnschecks.spf_record import BadRecord, is_record, parse
from tests.dns_server import LocalDNS, name_of, text_record

# Bytes as the resolver hands them over, one character each.
ANYTHING = st.text(st.characters(max_codepoint=255), max_size=200)
PIECES = st.sampled_from(
    [
        "a",
        "mx",
        "ptr",
        "all",
        "ip4:",
        "ip6:",
        "include:",
        "exists:",
        "redirect=",
        "exp=",
        "moo=",
        "1.2.3.4",
        "::",
        "/",
        "//",
        "24",
        "129",
        "%{",
        "}",
        "%",
        "%%",
        "%_",
        "i",
        "r",
        "d2r",
        "z",
        ".",
        "x.test",
        "-",
        "+",
        "~",
        "?",
        " ",
        "\t",
        "é",
        "=",
    ]
)
TERMS = st.lists(PIECES, max_size=12).map("".join)
WORDS = ["v", "DMARC1", "DKIM1", "p", "none", "k", "rsa", "rua", "mailto:a@b.c", "=", ";", ":", "!", "1"]
TAGS = st.lists(st.sampled_from([*WORDS, " ", "\xe9"])).map("".join)


@given(ANYTHING | TERMS)
def test_any_spf_record(text: str) -> None:
    with contextlib.suppress(BadRecord):
        parse(f"v=spf1 {text}")
    is_record(text)


@given(ANYTHING | TAGS)
def test_any_dmarc_record(text: str) -> None:
    for record in (text, f"v=DMARC1; {text}"):
        with contextlib.suppress(dmarc.BadRecord):
            assert dmarc.parse(record).p in dmarc.POLICIES
            # What is right is received and kept as it is.
            assert dmarc.as_received(record) == dmarc.parse(record)
        dmarc.as_received(record)
        if right := dmarc.repaired(record):
            dmarc.parse(right)
    dmarc.looks_meant(text)


@given(ANYTHING | TAGS)
def test_any_dkim_record(text: str) -> None:
    for record in (text, f"v=DKIM1; {text}"):
        with contextlib.suppress(dkim.BadRecord):
            dkim.is_usable_key(dkim.public_key_of(record))


@pytest.mark.server
@pytest.mark.parametrize(
    ("record", "result"),
    [
        # Python refuses to read a number of more than 4,300 digits.
        ("v=spf1 exists:%{d" + "9" * 5_000 + "}.test -all", "fail"),
        ("v=spf1 exists:%{d" + "0" * 5_000 + "}.test -all", "permerror"),
        ("v=spf1 ip4:192.0.2.1/" + "0" * 5_000 + " -all", "permerror"),
        ("v=spf1 a:" + "y." * 130 + "test -all", "fail"),
        ("v=spf1 a:" + "x" * 300 + ".test -all", "fail"),
        ("v=spf1 a:a..test -all", "fail"),
        ("v=spf1 include:x.test -all", "permerror"),
        ("v=spf1 redirect=x.test", "permerror"),
        ("v=spf1 exists:%{s}%{l}%{o}%{d}%{i}%{p}%{v}%{h}.test -all", "fail"),
        ("v=spf1" + " ip4:192.0.2.2" * 1_000 + " -all", "fail"),
        # Answers of more than 16 KiB are not read.
        ("v=spf1" + " ip4:192.0.2.2" * 2_000 + " -all", "temperror"),
        ("v=spf1" + " a" * 11 + " -all", "permerror"),
        ("v=spf1 moo=1 moo=2 -all", "fail"),
        ("v=spf1 exp=a.test exp=b.test -all", "permerror"),
        ("v=spf1 -all exists:%{z}", "permerror"),
        ("v=spf1\tip4:192.0.2.1 -all", "none"),
    ],
)
def test_hostile_spf_records_are_evaluated(record: str, result: str) -> None:
    parts = [record[at : at + 255].encode() for at in range(0, len(record), 255)]
    with LocalDNS("x.test. 60 IN A 198.51.100.1") as dns:
        dns.put([text_record(name_of("x.test"), parts)])
        verdict = spf.evaluate("192.0.2.1", sender="x.test", helo="h.x.test", resolver=Resolver([dns.address]))
    assert verdict.result == result
