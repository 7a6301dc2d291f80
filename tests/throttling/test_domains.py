"""Patterns: what is one, how it is stored, and which apply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throttling import domains
from throttling.domains import NotADomain


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("example.com", "example.com"),
        ("Web.EXAMPLE.com", "web.example.com"),
        ("[*.]web.example.com", "[*.]web.example.com"),
        ("*.Web.example.com", "*.web.example.com"),
        ("com", "com"),
        ("*.com", "*.com"),
        ("example.com.", "example.com"),
        ("3com.example", "3com.example"),
        ("1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[*.]BÜCHER.example", "[*.]xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("a" * 63 + ".com", "a" * 63 + ".com"),
        (".".join(["a" * 61] * 4) + ".abcde", ".".join(["a" * 61] * 4) + ".abcde"),
    ],
)
def test_it_stores(text, stored):
    assert domains.pattern(text) == stored
    assert domains.pattern(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "*",
        "*.",
        "[*.]",
        "*.*.example.com",
        "[*.]*.example.com",
        "a*.example.com",
        "[*]example.com",
        ".example.com",
        "example..com",
        "example.com..",
        "-example.com",
        "example-.com",
        "exa mple.com",
        " example.com",
        "example.com\n",
        "under_score.example.com",
        "user@example.com",
        "http://example.com",
        "example.com:25",
        "10.0.0.1",
        "0x7f000001",
        "127.0x1",
        "example.123",
        "a" * 64 + ".com",
        ".".join(["a" * 61] * 4) + ".abcdef",
        "ü" * 300,
        "\x00.com",
        "☃\u200d.example",
        "\ud800.example",
        "a\u0300-.com",
        "٣.٤",
    ],
)
def test_it_rejects(text):
    with pytest.raises(NotADomain) as caught:
        domains.pattern(text)
    # Without the prefix: it names what is no domain.
    assert text.endswith(caught.value.args[0])


def test_the_patterns_of_a_domain_go_from_the_nearest_name_outwards():
    assert list(domains.patterns_matching("foo.example.com")) == [
        "foo.example.com",
        "[*.]foo.example.com",
        "*.example.com",
        "[*.]example.com",
        "*.com",
        "[*.]com",
    ]


def test_a_top_level_domain_has_two_patterns():
    assert list(domains.patterns_matching("com")) == ["com", "[*.]com"]


@given(st.text(max_size=300))
def test_any_text_is_refused_or_becomes_a_stable_ascii_pattern(text):
    try:
        stored = domains.pattern(text)
    except NotADomain:
        return
    assert stored.isascii()
    assert stored == stored.lower()
    assert len(stored) <= domains.MAX_PATTERN_LENGTH
    assert domains.pattern(stored) == stored


def test_lengths_are_those_of_dns():
    longest = ".".join(["a" * 61] * 4) + ".abcde"
    assert (len(longest), domains.MAX_DOMAIN_LENGTH) == (253, 253)
    # The root's dot is not part of the name, and a prefix is not part of the domain.
    assert domains.domain_name(longest + ".") == longest
    assert len(domains.pattern("[*.]" + longest)) == domains.MAX_PATTERN_LENGTH == 257
    with pytest.raises(NotADomain):
        domains.domain_name(longest + "f")
