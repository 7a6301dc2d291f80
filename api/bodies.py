"""Reads request bodies as streams, with size limits and strict parsing.

What is decided here for both dialects: JSON is UTF-8 without a byte order mark; of a key given twice the later counts;
NaN, Infinity, numbers that no double can hold (1e400), lone surrogates, NUL characters and more than 1,000 levels are
refused; an integer beyond 64 bits arrives as a float, so no parameter that wants an integer takes it.
"""

import contextlib
import zlib
from typing import Any, BinaryIO

import orjson
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, UnreadablePostError

from api.problems import RETRY_AFTER, Code, Declined, decline

MEBIBYTE = 1024 * 1024
CHUNK = 64 * 1024
# Members of a gzip body: each costs some time, however short it is.
MOST_MEMBERS = 100
GZIP = b"\x1f\x8b"
TRANSFER = "The transfer encoding must be chunked; a body that is packed says so in its Content-Encoding"
ENCODING = "The content encoding must be gzip or identity"
BROKEN_GZIP = "The request's body is not valid gzip"
UNSAID_GZIP = "The request's body is gzip, which its Content-Encoding must say"
# Values of a JSON body: the largest that acts take (10,000 domains, 4,096 addresses, 1,000 suppressions) have fewer, and each
# costs some microseconds to read, more to refuse, and its share of the answer.
MOST_VALUES = 50_000
# A client that is still sending cannot read an answer: that much of a refused body is read and thrown away.
DISCARDED = 16 * MEBIBYTE


def read(request: HttpRequest, *, limit: int = MEBIBYTE) -> bytes:
    """Return the body, chunked or not; one of more than `limit` bytes is refused as too large without being held."""
    if hasattr(request, "_body"):
        # Somebody (a test client, a middleware) has read it already.
        body = request.body
        if len(body) > limit:
            raise _too_large(limit)
        return body
    stream, declared = _stream(request)
    if declared is not None and declared > limit:
        _discard(stream)
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while chunk := _next(stream, min(CHUNK, limit + 1 - size)):
        size += len(chunk)
        if size > limit:
            _discard(stream)
            raise _too_large(limit)
        chunks.append(chunk)
    if declared is not None and size < declared:
        raise decline(Code.MALFORMED, "The request's body ended early")
    return b"".join(chunks)


def read_unpacked(request: HttpRequest, *, limit: int = MEBIBYTE) -> bytes:
    """Return the body as it was before it was packed by gzip; `limit` is for both. Other encodings are refused."""
    body = read(request, limit=limit)
    # Not by `headers`, which is made of all of them.
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return _unpacked(body, limit)
    if encoding not in ("", "identity"):
        raise decline(Code.MALFORMED, ENCODING)
    if body.startswith(GZIP):
        raise decline(Code.MALFORMED, UNSAID_GZIP)
    return body


def _unpacked(packed: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for _ in range(MOST_MEMBERS):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            # One byte more than may be tells that there are too many, however many there are.
            parts.append(member.decompress(packed, limit + 1 - size))
        except zlib.error:
            raise decline(Code.MALFORMED, BROKEN_GZIP) from None
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not member.eof:
            raise decline(Code.MALFORMED, BROKEN_GZIP)
        packed = member.unused_data
        if not packed:
            return b"".join(parts)
    raise decline(Code.MALFORMED, f"The request's body must not have more than {MOST_MEMBERS} gzip members")


def load_json(raw: bytes | str) -> Any:
    """Return what the JSON text says; refuse with the place of the first fault."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise decline(Code.MALFORMED, f"The request is not valid JSON: {exc.msg} at character {exc.pos + 1}") from exc


def parse_parameters(raw: bytes | str) -> object:
    """Return what the JSON text of a request says; refuse more values than any request needs before one is read."""
    # Each value of an array or object is followed by a comma or ends it; commas in texts only add to them.
    commas = raw.count(b",") if isinstance(raw, bytes) else raw.count(",")
    if commas > MOST_VALUES:
        raise too_large(f"The request must not have more than {MOST_VALUES:,} values")
    return parse_json(raw)


def parse_json(raw: bytes | str) -> object:
    """Return the same as `load_json`; refuse NUL characters, which no column can hold."""
    value = load_json(raw)
    # Looking at every string costs more than parsing; the escape is the only way to write a NUL in valid JSON.
    has_escape = b"\\u0000" in raw if isinstance(raw, bytes) else "\\u0000" in raw
    if has_escape and _has_nul(value):
        raise decline(Code.MALFORMED, "The request must not contain NUL characters")
    return value


def _stream(request: HttpRequest) -> tuple[BinaryIO | LimitedStream, int | None]:
    """Return where to read the body from, and its declared length; None where the sender did not know it (chunked)."""
    meta = request.META
    if "HTTP_TRANSFER_ENCODING" in meta:
        # Django knows Content-Length only and would see an empty body. A server that unpacks chunks says so.
        if not meta.get("wsgi.input_terminated"):
            raise decline(Code.MALFORMED, "Send the body with a Content-Length")
        # gunicorn takes off the chunks and nothing else: what is packed below them (RFC 9112, 7) would be read as it is.
        if meta["HTTP_TRANSFER_ENCODING"].strip().lower() != "chunked":
            raise decline(Code.MALFORMED, TRANSFER)
        return meta["wsgi.input"], None
    length = meta.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal()):
        raise decline(Code.MALFORMED, "The Content-Length is not a number")
    return request._stream, int(length)


def _next(stream: BinaryIO | LimitedStream, size: int) -> bytes:
    """Return the next bytes, empty at the end."""
    try:
        return stream.read(size)
    except Exception as exc:
        # A sender that has gone is an OSError; for chunks that are none, each server has exceptions of its own.
        raise UnreadablePostError(*exc.args) from exc


def _discard(stream: BinaryIO | LimitedStream) -> None:
    """Read and forget the rest, up to a limit."""
    left = DISCARDED
    # A sender that has gone waits for no answer.
    with contextlib.suppress(UnreadablePostError):
        while left > 0 and (chunk := _next(stream, CHUNK)):
            left -= len(chunk)


def _too_large(limit: int) -> Declined:
    size = f"{limit // MEBIBYTE} MiB" if limit % MEBIBYTE == 0 else f"{limit} bytes"
    return too_large(f"The request's body must not be larger than {size}")


def too_large(message: str) -> Declined:
    """Return the exception that refuses a body for what it would cost."""
    return decline(Code.TOO_LARGE, message, retry_after=RETRY_AFTER)


def _has_nul(value: object) -> bool:
    """Walk without recursion: a body may nest a thousand levels deep."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if "\x00" in each:
                return True
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each)
            waiting.extend(each.values())
    return False
