"""core.texts: what may be a name, and what may be a text."""

import pytest

from core.errors import Fault, Invalid
from core.texts import clean_name, clean_text, storable_part

CONTROL = "must not contain control characters"


@pytest.mark.parametrize("name", ["Mail", "日本", "a", "x" * 200, "👩‍👩‍👧", "a\u200db", 'O\'Neil & "Sons" <b>'])
def test_it_keeps_a_name(name):
    assert clean_name(f" \t{name}\n\u3000") == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is required"),
        (" \t\r\n\u2003\u3000", "is required"),
        ("\u200b", "is required"),
        ("\u202e \u2060", "is required"),
        ("a\x00b", CONTROL),
        ("\x00", CONTROL),
        ("a\nb", CONTROL),
        ("\x7f", CONTROL),
        ("\ud800", CONTROL),
        ("a\udfffb", CONTROL),
        # No page shows them: the name would be a twin of the one without.
        ("a\x85b", CONTROL),
        ("ab\x9f.", CONTROL),
        ("a\u2028b", CONTROL),
        ("a\u2029b", CONTROL),
        ("x" * 201, "is too long (maximum is 200 characters)"),
        (5, "must be a string"),
        (None, "must be a string"),
        (b"Mail", "must be a string"),
    ],
    ids=repr,
)
def test_it_rejects(name, message):
    with pytest.raises(Invalid) as refusal:
        clean_name(name, field="addresses[3].name")
    assert refusal.value.faults == (Fault("addresses[3].name", message),)


def test_a_text_may_be_empty_and_has_its_own_length():
    assert clean_text("  ", field="reason", longest=5) == ""
    with pytest.raises(Invalid, match=r"^reason is too long \(maximum is 5 characters\)$"):
        clean_text("123456", field="reason", longest=5)


def test_a_text_of_others_keeps_what_can_be_stored():
    assert storable_part("a\nb\tc\r\x00\x1f\x7f\ud800\x85\u2028d") == "a\nb\tc\x85\u2028d"
