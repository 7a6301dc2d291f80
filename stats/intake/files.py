"""Reads files of events: newline-delimited JSON, plain, gzip or zstd, in constant memory."""

import gzip
import io
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import orjson

from stats.intake.remarks import EventRefused
from stats.intake.sources import framing

# A longer line is not an event: an event has some hundreds of characters.
LONGEST_LINE = 64 * 1024


def open_events(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream without a byte order mark, decompressed if it is gzip or zstd. It need not be seekable."""
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(cast(io.RawIOBase, stream))
    start = buffered.peek(4)[:4]
    if start.startswith(framing.GZIP_MAGIC):
        buffered = io.BufferedReader(gzip.GzipFile(fileobj=buffered))
    elif framing.is_zstd(start):
        buffered = io.BufferedReader(framing.zstd.ZstdFile(buffered))
    else:
        buffered = framing.recoded(buffered) or buffered
    if buffered.peek(3)[:3] == framing.BOM:
        buffered.read(3)
    return framing.with_line_feeds(buffered)


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
        if line.isspace():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError:
            yield number, EventRefused("invalid_json", "The line is not JSON")


def _skip_line(stream: IO[bytes]) -> None:
    while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass
