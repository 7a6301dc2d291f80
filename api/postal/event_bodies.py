"""The bodies of `events`: a JSON array, one object, or newline-delimited objects; plain or gzip."""

import io
import zlib
from collections.abc import Iterator
from itertools import batched
from typing import Any

import orjson
from django.http import HttpRequest

from api import bodies
from api.problems import RETRY_AFTER, Code, decline
from stats.intake.files import read_lines

PACKED_LIMIT = 16 * bodies.MEBIBYTE
LIMIT = 64 * bodies.MEBIBYTE
# An array has to be parsed as a whole, and as objects it takes ten times the room.
ARRAY_LIMIT = 16 * bodies.MEBIBYTE
SHAPE = "The request's body must be a JSON array, a JSON object or newline-delimited JSON objects"
ARRAY_TOO_LARGE = "A JSON array must not be larger than 16 MiB; send newline-delimited JSON"
BROKEN_GZIP = "The request's body is not valid gzip"
ENCODING = "The content encoding must be gzip or identity"
_GZIP_MAGIC = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31


def read_events(request: HttpRequest, size: int) -> Iterator[tuple[Any, ...]]:
    """Yield the events in parts of at most `size`; declines what cannot be read.

    Lines are parsed part by part, so that a large body is never all objects at once; one that is no JSON is left to be
    refused by itself. What its Content-Type says is not asked: senders say all kinds.
    """
    body = _unpacked(bodies.read(request, limit=PACKED_LIMIT), request.headers.get("Content-Encoding", "").lower())
    start = body[: bodies.CHUNK].lstrip()[:1]
    if start == b"[":
        if len(body) > ARRAY_LIMIT:
            raise decline(Code.TOO_LARGE, ARRAY_TOO_LARGE, retry_after=RETRY_AFTER)
        yield from batched(_parsed(body), size)
    elif start == b"{":
        one = _one_object(body)
        yield from [(one,)] if one is not None else batched((event for _, event in read_lines(io.BytesIO(body))), size)
    else:
        raise decline(Code.MALFORMED, SHAPE)


def _one_object(body: bytes) -> Any:
    """Return the object that the whole body is, over however many lines; None where it is lines of several."""
    first, _, rest = body.lstrip().partition(b"\n")
    if rest.strip() and _is_json(first):
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        message = f"The request is not valid JSON: {exc.msg} at character {exc.pos + 1}"
        raise decline(Code.MALFORMED, message) from exc


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return the body as it was before it was packed; gzip is known by how it begins, too: curl sends files as they are."""
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise decline(Code.MALFORMED, ENCODING)
    if not body.startswith(_GZIP_MAGIC):
        if encoding in {"gzip", "x-gzip"}:
            raise decline(Code.MALFORMED, BROKEN_GZIP)
        return body
    parts: list[bytes] = []
    size = 0
    while body:
        # gzip files may be of several members.
        member = zlib.decompressobj(_WITH_GZIP_HEADER)
        try:
            part = member.decompress(body, LIMIT + 1 - size)
        except zlib.error as exc:
            raise decline(Code.MALFORMED, BROKEN_GZIP) from exc
        size += len(part)
        if size > LIMIT:
            message = f"The request's body must not be larger than {LIMIT // bodies.MEBIBYTE} MiB unpacked"
            raise decline(Code.TOO_LARGE, message, retry_after=RETRY_AFTER)
        if not member.eof:
            raise decline(Code.MALFORMED, BROKEN_GZIP)
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)
