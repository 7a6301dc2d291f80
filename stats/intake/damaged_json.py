"""Parses JSON that a sender damaged by cutting a text where it was longest: half of a character is replaced, not refused."""

import re
from typing import Any

import orjson

# What is larger is refused as it is: to look through it takes longer than to parse it.
_LARGEST = 1024 * 1024
_MOST_REPLACED = 100
_ESCAPED = r"(?<!\\)((?:\\\\)*)"
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_FIRST_HALF = re.compile(f"{_ESCAPED}{_HIGH}(?!{_LOW})")
_SECOND_HALF = re.compile(f"(?<!{_HIGH}){_ESCAPED}{_LOW}")
_REPLACEMENT = r"\1\\ufffd"


def loads(text: bytes | str) -> Any:
    """Return the parsed JSON; raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if len(text) > _LARGEST:
            raise
        return mended(text)


def mended(text: bytes | str) -> Any:
    """Return the parsed JSON of what could not be parsed; raises orjson.JSONDecodeError.

    JavaScript cuts a text by its UTF-16 units and writes half of a character as `\\ud83d`, others cut it by its bytes: with
    the reply, which is optional, the whole event would be lost.
    """
    if len(text) <= _LARGEST:
        text = text if isinstance(text, str) else text.decode("utf-8", "replace")
        if "\\u" in text:
            text = _FIRST_HALF.sub(_REPLACEMENT, text, _MOST_REPLACED)
            text = _SECOND_HALF.sub(_REPLACEMENT, text, _MOST_REPLACED)
    return orjson.loads(text)
