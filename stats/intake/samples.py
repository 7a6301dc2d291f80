"""Samples of records for people: truncated, and without mailboxes."""

from typing import Any

import orjson

LONGEST = 1_000
LONGEST_MESSAGE = 300
_MAILBOXES = frozenset({"from", "to"})


def masked(event: Any) -> str:
    """Return a record as truncated JSON, without mailboxes; empty where it is nothing that JSON can say."""
    if type(event) is dict:
        event = {
            name: value.rpartition("@")[2] if name in _MAILBOXES and type(value) is str else value
            for name, value in event.items()
            if name != "reply"
        }
    try:
        text = orjson.dumps(event).decode()
    except (TypeError, ValueError):
        return ""
    return text.replace("\\u0000", "")[:LONGEST]
