"""Delivery attempts per recipient, as log readers store them. Standard library only, Python 3.9."""

from __future__ import annotations

import zlib
from typing import Any

MOST_ATTEMPTS = 32
MAX_REPLY = 1000


def note(attempts: dict[str, list[Any]], recipient: str, address: str, raw: bytes, *, tried: bool) -> int:
    """Note an attempt at a recipient, and return its number; 0 where nothing was tried.

    `attempts` has, by open recipient, the address of the last attempt, the number of attempts that were forgotten, and the
    sums of the others' lines: a line that is read again is the same attempt.
    """
    entry = attempts.get(recipient)
    if entry is None:
        entry = attempts[recipient] = ["", 0]
    if not tried:
        return 0
    total = zlib.crc32(raw)
    if total in entry[2:]:
        return int(entry[1]) + entry.index(total, 2) - 1
    entry[0] = address
    entry.append(total)
    number: int = entry[1] + len(entry) - 2
    if len(entry) > MOST_ATTEMPTS:
        del entry[2]
        entry[1] += 1
    return number
