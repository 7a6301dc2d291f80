"""Addresses are compared as receivers in practice compare them, and shown without what names a person."""

import pytest

from suppressions.addresses import NotAnAddress, entered, masked, normalized, pasted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bob@gmail.com", "bob@gmail.com"),
        (" <Bob.Ross@GMail.com> ", "bob.ross@gmail.com"),
        ("bob+news@gmail.com", "bob+news@gmail.com"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob@example.com.", "bob@example.com"),
        ("JOSE\u0301@example.com", "jos\u00e9@example.com"),
        ('"a@b"@example.com', '"a@b"@example.com'),
    ],
)
def test_it_works(text: str, expected: str) -> None:
    assert normalized(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "bob", "@gmail.com", "bob@", "bob@192.0.2.1", "bob smith@gmail.com", "b\0b@gmail.com", "b\ud800@gmail.com",
     f"{'x' * 65}@gmail.com", f"bob@{'x' * 250}.com", "Bob <bob@gmail.com>", "bob@gmail..com"],
)  # fmt: skip
def test_it_rejects_what_is_not_an_address(text: str) -> None:
    with pytest.raises(NotAnAddress):
        normalized(text)


# Each could be a recipient of an event; who enters it means something else.
@pytest.mark.parametrize(
    "text",
    ["ann@x.example,bob@x.example", "ann@x.example;bob@x.example", "ann,bob@x.example", "smtp:ann@x.example",
     "(Ann)ann@x.example", "<ann@x.example>;<bob@x.example", '"ann"bob@x.example', r"ann\bob@x.example", "'ann@x.example"],
)  # fmt: skip
def test_it_rejects_several_addresses_in_one_text_and_parts_of_others(text: str) -> None:
    with pytest.raises(NotAnAddress):
        entered(text)


@pytest.mark.parametrize(
    "text", ['"a,b;c@d"@x.example', "o'hara+news@x.example", "a.@x.example", "a/b=c!d%e@x.example"]
)
def test_what_mailboxes_have_is_entered(text: str) -> None:
    assert entered(text) == text


@pytest.mark.parametrize(
    "text", ["ann@x.example", "\u200bann@x.example\u00a0", "MailTo:ann@x.example", "\ufeffann@x.exa\u00admple "]
)
def test_what_is_pasted_has_no_characters_that_are_not_shown(text: str) -> None:
    assert pasted(text) == "ann@x.example"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("roger@gmail.com", "r…r@gmail.com"),
        ("abc@gmail.com", "a…c@gmail.com"),
        ("ab@gmail.com", "a…@gmail.com"),
        ("a@gmail.com", "a…@gmail.com"),
    ],
)
def test_it_is_masked(address: str, shown: str) -> None:
    assert masked(address) == shown
