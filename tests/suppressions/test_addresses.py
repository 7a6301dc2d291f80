"""Addresses are compared as receivers in practice compare them, and shown without what names a person."""

import pytest

from suppressions.addresses import NotAnAddress, masked, normalized


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
