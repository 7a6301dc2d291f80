"""Reads files of events: newline-delimited JSON, plain or compressed, in constant memory."""

import codecs
from collections.abc import Callable, Iterator
from typing import IO, Any

import orjson

from stats.intake import damaged_json
from stats.intake.remarks import EventRefused

# A longer line is not an event: an event has some hundreds of characters.
LONGEST_LINE = 64 * 1024


def read_lines(stream: IO[bytes], on_line: Callable[[int], None] | None = None) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1 on, and its parsed JSON, or the reason for a refusal.

    Empty lines are passed over.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if on_line:
            on_line(len(line))
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            _skip_line(stream)
            yield number, EventRefused("line_too_long", f"A line may have {LONGEST_LINE} bytes")
            continue
        # A machine that lost its power leaves NULs where the lines before were to be; a file in the middle has its own mark.
        line = line.lstrip(b"\0").removeprefix(codecs.BOM_UTF8)
        if not line or line.isspace():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError:
            try:
                yield number, damaged_json.mended(line)
            except orjson.JSONDecodeError:
                yield number, EventRefused("invalid_json", "The line is not JSON")


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass
