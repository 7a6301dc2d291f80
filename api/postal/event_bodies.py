"""Parses the bodies of `events`: a JSON array, one object, or newline-delimited objects; plain, gzip or zstd.

What a body may cost is bounded before the work begins: how many records it has, how many values an array has, how many parts
packed data has, and how much is parsed at once. Worst bodies are in tests/api/postal/test_event_bodies.py.
"""

import io
from collections.abc import Iterator
from typing import Any

import orjson
from django.http import HttpRequest

from api import bodies
from api.bodies import too_large
from api.problems import Code, decline
from stats.intake.files import LONGEST_LINE, read_lines
from stats.intake.sources import TooLarge, framing

PACKED_LIMIT = 16 * bodies.MEBIBYTE
LIMIT = 64 * bodies.MEBIBYTE
# An array has to be parsed as a whole, and as objects it takes ten times the room.
ARRAY_LIMIT = 16 * bodies.MEBIBYTE
# Records of one request, be they lines, members or rows.
MOST_RECORDS = 50_000
# Values and objects of an array: as Python's objects each takes up to 60 and 250 bytes, however short it is in JSON.
MOST_VALUES = 1_000_000
MOST_OBJECTS = 250_000
# Objects and arrays of all lines together: each takes time, however short it is.
MOST_NESTED = 1_000_000
# Bytes of all lines together, beyond those of a usual event in each: replies and names take time by their length.
MOST_TEXT = 2 * bodies.MEBIBYTE
USUAL_LINE = 250
# Lines are parsed together up to this many bytes: ten thousand events of the usual length.
PARSED_AT_ONCE = 5 * bodies.MEBIBYTE // 2
# Parts (members, frames) of packed data: each costs some time however short it is.
MOST_PARTS = 1_000
SHAPE = "The request's body must be a JSON array, a JSON object or newline-delimited JSON objects"
ARRAY_TOO_LARGE = "A JSON array must not be larger than 16 MiB; send newline-delimited JSON"
TOO_MANY_RECORDS = f"A request must not have more than {MOST_RECORDS:,} events"
TOO_MANY_VALUES = f"A JSON array must not have more than {MOST_VALUES:,} values and {MOST_OBJECTS:,} objects or arrays"
TOO_MANY_NESTED = f"A request must not have more than {MOST_NESTED:,} objects and arrays"
TOO_MUCH_TEXT = f"The lines of a request must not have more than 2 MiB beyond the first {USUAL_LINE} bytes of each"
TOO_MANY_PARTS = f"Packed data must not have more than {MOST_PARTS:,} members or frames"
BROKEN_GZIP = "The request's body is not valid gzip"
BROKEN_ZSTD = "The request's body is not valid zstd"
ENCODING = "The content encoding must be gzip, zstd or identity"
PACKED_TWICE = "The request's body is packed twice: send it packed once, or as it is"
# What readers pass over before the first record: white space, NULs, byte order marks.
_PASSED_OVER = b"\0 \t\n\r\v\f" + framing.BOM
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_BROKEN = {"gzip": BROKEN_GZIP, "zstd": BROKEN_ZSTD}
_GZIP_MEMBER = framing.GZIP_MAGIC + b"\x08"


def read_events(request: HttpRequest, size: int) -> Iterator[list[Any]]:
    """Yield the events in parts of at most `size`; declines what cannot be read.

    Lines are parsed part by part, so that a large body is never all objects at once; one that is no JSON is left to be
    refused by itself. What its Content-Type says is not asked: senders say all kinds.
    """
    body = unpacked(read_packed(request), request.headers.get("Content-Encoding", ""))
    start = body[: bodies.CHUNK].lstrip()[:1]
    if start == b"[":
        events = bodies.load_json(body)
        if len(events) > MOST_RECORDS:
            raise too_large(TOO_MANY_RECORDS)
        for first in range(0, len(events), size):
            yield events[first : first + size]
    elif start == b"{":
        one = _one_object(body)
        if one is not None:
            yield [one]
        else:
            # A line that is refused for its length is not read.
            longer = (len(line) for line in io.BytesIO(body) if USUAL_LINE < len(line) <= LONGEST_LINE)
            if sum(length - USUAL_LINE for length in longer) > MOST_TEXT:
                raise too_large(TOO_MUCH_TEXT)
            yield from _lines(body, size)
    else:
        raise decline(Code.MALFORMED, SHAPE)


def read_packed(request: HttpRequest) -> bytes:
    """Return the body as it was sent; declines one that is too large, or packed in too many parts."""
    packed = bodies.read(request, limit=PACKED_LIMIT)
    parts = 0
    if packed.startswith(framing.GZIP_MAGIC):
        parts = packed.count(_GZIP_MEMBER)
    elif framing.is_zstd(packed[:4]):
        parts = packed.count(framing.ZSTD_MAGIC) + packed.count(framing.SKIPPABLE_FRAME)
    if parts > MOST_PARTS:
        raise too_large(TOO_MANY_PARTS)
    return packed


def unpacked(packed: bytes, encoding: str, *, is_log: bool = False) -> bytes:
    """Return the body as it was before it was packed, which is known by how it begins, too: curl sends files as they are.

    Declines what would cost too much to read. `is_log`: it is read line by line, however it begins.
    """
    encoding = encoding.strip().lower()
    if encoding not in _ENCODINGS:
        raise decline(Code.MALFORMED, ENCODING)
    starts = {"gzip": packed.startswith(framing.GZIP_MAGIC), "zstd": framing.is_zstd(packed[:4])}
    wanted = _ENCODINGS[encoding]
    if wanted and not starts[wanted]:
        raise decline(Code.MALFORMED, _BROKEN[wanted])
    if not any(starts.values()):
        body = packed.removeprefix(framing.BOM)
    else:
        try:
            stream = framing.open_stream(io.BytesIO(packed), LIMIT)
            body = b"".join(iter(lambda: stream.read(bodies.CHUNK), b""))
        except TooLarge:
            raise too_large(
                f"The request's body must not be larger than {LIMIT // bodies.MEBIBYTE} MiB unpacked"
            ) from None
        if broken := framing.broken(stream):
            raise decline(Code.MALFORMED, _BROKEN[broken])
    if body.startswith(framing.GZIP_MAGIC) or framing.is_zstd(body[:4]):
        # A reader would unpack it, and read what has not been looked at.
        raise decline(Code.MALFORMED, PACKED_TWICE)
    _check(body, is_log=is_log)
    return body


def _check(body: bytes, *, is_log: bool) -> None:
    """Decline what would cost too much to read, by whatever ends its lines and stands before its beginning."""
    ends = max(body.count(b"\n"), body.count(b"\r"))
    start = body[: bodies.CHUNK].lstrip(_PASSED_OVER)[:1] or body.lstrip(_PASSED_OVER)[:1]
    if start == b"[" and not is_log:
        if len(body) > ARRAY_LIMIT:
            raise too_large(ARRAY_TOO_LARGE)
        if max(ends, body.count(b",")) > MOST_VALUES or body.count(b"{") + body.count(b"[") > MOST_OBJECTS:
            raise too_large(TOO_MANY_VALUES)
    elif ends > MOST_RECORDS:
        raise too_large(TOO_MANY_RECORDS)
    elif body.count(b"{") + body.count(b"[") > MOST_NESTED:
        raise too_large(TOO_MANY_NESTED)


def _lines(body: bytes, size: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    bytes_left = PARSED_AT_ONCE

    def taken(length: int) -> None:
        nonlocal bytes_left
        bytes_left -= length

    for _, event in read_lines(io.BytesIO(body), taken):
        part.append(event)
        if len(part) == size or bytes_left <= 0:
            yield part
            part, bytes_left = [], PARSED_AT_ONCE
    if part:
        yield part


def _one_object(body: bytes) -> Any:
    """Return the object that the whole body is, over however many lines; None where it is lines of several."""
    first, _, rest = body.lstrip().partition(b"\n")
    if len(body) > framing.LARGEST_OBJECT or (rest.strip() and _object(first) is not None):
        return None
    return _object(body)


def _object(text: bytes) -> Any:
    """Return the object; None where the text is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
