"""Splits bytes into records: lines, three shapes of JSON, CSV with a header; compressed data is detected."""

import bz2
import csv
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import orjson

from stats.intake import damaged_json
from stats.intake.sources.base import Refused, TooLarge
from stats.intake.sources.recoding import recoded

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

GZIP_MAGIC = b"\x1f\x8b"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zX"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OTHER_PACKINGS = (
    (b"PK\x03\x04", "zip"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"), (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"), (b"\x89LZO\x00\r\n", "lzop"), (b"LZIP", "lzip"),
)  # fmt: skip
# zstd's skippable frames, of which a file may begin with one.
_SKIPPABLE = bytes(range(0x50, 0x60))
SKIPPABLE_FRAME = b"\x2a\x4d\x18"
_LARGEST_WINDOW = 25
BOM = b"\xef\xbb\xbf"
# An SNS notification has up to 256 KiB, a KumoMTA record of a thousand recipients less than that.
LONGEST_LINE = 1024 * 1024
# Columns of CSV; PowerMTA has some sixty.
MOST_COLUMNS = 500
# An array is parsed as a whole, and as objects it takes ten times the room.
LARGEST_ARRAY = 16 * 1024 * 1024
# One object over several lines.
LARGEST_OBJECT = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_TYPE = "type"


_PACKINGS: tuple[tuple[type, str], ...] = (
    (gzip.GzipFile, "gzip"),
    (zstd.ZstdFile, "zstd"),
    (bz2.BZ2File, "bzip2"),
    (lzma.LZMAFile, "xz"),
)


class _Limited(io.RawIOBase):
    """A stream of at most `limit` bytes, which detects truncated compressed data."""

    def __init__(self, stream: IO[bytes], limit: int | None) -> None:
        self._stream, self._left = stream, limit
        self.broken = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # Where an error comes, what is before it is not given: of damaged data it may be wrong, and make another event.
            part = self._stream.read(len(buffer))
        except (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError):
            packing = next((name for kind, name in _PACKINGS if isinstance(self._stream, kind)), "")
            if not packing:
                raise
            self.broken, part = packing, b""
        if self._left is not None:
            self._left -= len(part)
            if self._left < 0:
                raise TooLarge
        buffer[: len(part)] = part
        return len(part)


class _Lines(io.RawIOBase):
    """A stream whose lines end in CR alone, with LF in its place."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.stream.read1(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(part)] = part
        return len(part)


def with_line_feeds(stream: Any) -> IO[bytes]:
    """Return the stream with LF at the end of its lines, where its beginning has CR alone, as some exports do."""
    start = stream.peek(_CHUNK)
    # The last of the piece may be half a CRLF; lines of a log hold no other.
    is_of_cr = b"\r" in start[:-1] and b"\n" not in start
    return cast(IO[bytes], io.BufferedReader(_Lines(stream), _CHUNK) if is_of_cr else stream)


def open_stream(stream: IO[bytes], limit: int | None = None) -> IO[bytes]:
    """Return the decompressed stream without a byte order mark. It need not be seekable.

    bzip2 and xz, by which logrotate packs logs on some systems, and UTF-16 are for files (`limit` None): of a request they
    could need any memory.
    """
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(cast(io.RawIOBase, stream))
    start = buffered.peek(4)[:4]
    opened: Any = buffered
    if start[:2] == GZIP_MAGIC:
        opened = gzip.GzipFile(fileobj=buffered)
    elif is_zstd(start):
        # Of a request, a window of 32 MiB at most: it is held in memory.
        options = None if limit is None else {int(zstd.DecompressionParameter.window_log_max): _LARGEST_WINDOW}
        opened = zstd.ZstdFile(buffered, options=options)
    elif limit is None and start[:3] == BZIP2_MAGIC:
        opened = bz2.BZ2File(buffered)
    elif limit is None and start == XZ_MAGIC:
        opened = lzma.LZMAFile(buffered)  # noqa: SIM115 - closed by its caller
    elif limit is None:
        opened = recoded(buffered) or buffered
    result = io.BufferedReader(_Limited(opened, limit), _CHUNK)
    if result.peek(3)[:3] == BOM:
        result.read(3)
    return with_line_feeds(result)


def packed_otherwise(stream: IO[bytes]) -> Refused | None:
    """Return the refusal of an opened stream that is packed in a way that is not read; None of another one."""
    start = cast(io.BufferedReader, stream).peek(8)[:8]
    for magic, name in _OTHER_PACKINGS:
        if start.startswith(magic):
            return Refused(
                0, "unsupported_packing", f"The file is packed by {name}: unpack it, or use gzip, bzip2, xz or zstd"
            )
    return None


def is_zstd(start: bytes) -> bool:
    """Whether data with these first four bytes is compressed with zstd."""
    return start[:4] == ZSTD_MAGIC or (start[1:4] == SKIPPABLE_FRAME and start[0] in _SKIPPABLE)


def broken(stream: IO[bytes]) -> str:
    """Return the compression whose data was truncated or invalid, or the empty text; of a stream that was read to its end."""
    raw = getattr(stream, "raw", None)
    if isinstance(raw, _Lines):
        return broken(raw.stream)
    return raw.broken if isinstance(raw, _Limited) else ""


def said_of_broken(packing: str) -> str:
    """Return the reason for the refusal of what is not there."""
    return f"The {packing} data is cut off or damaged: up to {_CHUNK // 1024} KiB before its end have not been read"


def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | Refused, bool]]:
    """Yield each line's number, from 0 on, the line without its end, and whether it had one.

    A line that is too long is refused, and passed over in constant memory.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield number, Refused(number, "line_too_long", f"A line may have {LONGEST_LINE} bytes"), True
        else:
            whole = line.endswith(b"\n")
            # A machine that lost its power leaves NULs where the lines before were to be. Of files put together each has
            # its own byte order mark.
            yield number, line.rstrip(b"\r\n").lstrip(b"\0").removeprefix(BOM), whole
        number += 1
    if packing := broken(stream):
        yield number, Refused(number, f"invalid_{packing}", said_of_broken(packing)), True


def json_records(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield each record's number and the parsed record, or its refusal: of an array, of lines of objects, or of one object.

    One object may go over several lines: then the first line is not JSON, and neither is the second.
    """
    if refusal := packed_otherwise(stream):
        yield 0, refusal
    elif _first(stream) == b"[":
        yield from _array(stream)
    else:
        yield from _json_lines(stream)


def _json_lines(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    begun: list[tuple[int, bytes | Refused]] | None = None
    size, is_first = 0, True
    loads = orjson.loads
    for number, line, _ in lines(stream):
        if begun is None:
            try:
                # The way of almost every line.
                yield number, loads(line)  # type: ignore[arg-type]
            except orjson.JSONDecodeError:
                if isinstance(line, Refused):
                    yield number, line
                elif not line or line.isspace():
                    continue
                elif isinstance(parsed := _mended(number, line), Refused) and is_first:
                    begun = [(number, line)]
                else:
                    yield number, parsed
            is_first = False
            continue
        begun.append((number, line))
        size += LONGEST_LINE if isinstance(line, Refused) else len(line)
        if size > LARGEST_OBJECT or (len(begun) == 2 and not isinstance(line, Refused) and _is_object(line)):
            yield from _each(begun)
            begun = None
    if begun is not None:
        yield from _one_or_each(begun)


def _mended(number: int, line: bytes) -> Any:
    try:
        return damaged_json.mended(line)
    except orjson.JSONDecodeError:
        return Refused(number, "invalid_json", "The line is not JSON")


def _is_object(line: bytes) -> bool:
    try:
        return type(damaged_json.loads(line)) is dict
    except orjson.JSONDecodeError:
        return False


def _one_or_each(begun: list[tuple[int, bytes | Refused]]) -> Iterator[tuple[int, Any]]:
    """Yield the single object that spans the lines, or else each line separately."""
    try:
        one = damaged_json.loads(b"\n".join(line for _, line in begun if not isinstance(line, Refused)))
    except orjson.JSONDecodeError:
        one = None
    if one is not None and not any(isinstance(line, Refused) for _, line in begun):
        yield 0, one
    elif len(begun) > 1 and not any(not isinstance(line, Refused) and _is_object(line) for _, line in begun):
        # It was to be one object, and is broken.
        yield 0, Refused(0, "invalid_json", "The text is neither a JSON object nor lines of them")
    else:
        yield from _each(begun)


def _each(begun: list[tuple[int, bytes | Refused]]) -> Iterator[tuple[int, Any]]:
    for number, line in begun:
        if isinstance(line, Refused):
            yield number, line
        elif line and not line.isspace():
            try:
                yield number, damaged_json.loads(line)
            except orjson.JSONDecodeError:
                yield number, Refused(number, "invalid_json", "The line is not JSON")


def _array(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    body = stream.read(LARGEST_ARRAY + 1).lstrip(b"\0")
    if len(body) > LARGEST_ARRAY:
        yield 0, Refused(0, "array_too_large", "A JSON array may have 16 MiB; send newline-delimited JSON")
        return
    if packing := broken(stream):
        yield 0, Refused(0, f"invalid_{packing}", f"The {packing} data is cut off or damaged")
        return
    try:
        members = damaged_json.loads(body)
    except orjson.JSONDecodeError:
        # Lines of arrays, as a log of posted batches has them.
        members = []
        number = 0
        for number, line, _ in lines(open_stream(io.BytesIO(body))):
            try:
                parsed = line if isinstance(line, Refused) else damaged_json.loads(line) if line.strip() else []
            except orjson.JSONDecodeError:
                parsed = Refused(number, "invalid_json", "The line is not JSON")
            for each in parsed if type(parsed) is list else [parsed]:
                yield number, each
        return
    yield from enumerate(members)


def _first(stream: IO[bytes]) -> bytes:
    """Return the first character that is neither white space nor NUL, consuming only those from the stream."""
    buffered = cast(io.BufferedReader, stream)
    while start := buffered.peek(1):
        rest = start.lstrip(b"\0 \t\n\r\v\f")
        if rest:
            return rest[:1]
        buffered.read(len(start))
    return b""


def csv_records(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield each row's number, from 0 on, and the row by the names of the header that is before it, or its refusal.

    A row is one line. PowerMTA writes the header at the start of each file; of files put together each has its own.
    """
    if refusal := packed_otherwise(stream):
        yield 0, refusal
        return
    names: list[str] = []
    number, lack = 0, ""
    for _, line, _ in lines(stream):
        if isinstance(line, Refused):
            yield number, line._replace(index=number)
            number += 1
            continue
        if not line or line.isspace():
            continue
        try:
            (row,) = csv.reader([line.decode("utf-8", "surrogateescape")], strict=True)
        except (csv.Error, ValueError):
            yield number, Refused(number, "invalid_csv", "The row is not CSV: a quoted field does not end")
            number += 1
            continue
        if len(row) <= MOST_COLUMNS and (header := _header(row, names, is_first=number == 0)):
            names = header
            continue
        if len(row) > MOST_COLUMNS:
            # Each would be read again for each row.
            yield number, Refused(number, "invalid_csv", f"A row must not have more than {MOST_COLUMNS} fields")
        elif not names:
            lack = lack or _lack_of_header(line)
            yield number, Refused(number, "no_header", lack)
        elif len(row) != len(names):
            message = f"The row has {len(row)} fields, and the header {len(names)}"
            yield number, Refused(number, "truncated" if len(row) < len(names) else "invalid_csv", message)
        else:
            yield number, dict(zip(names, row, strict=True))
        number += 1


def _lack_of_header(line: bytes) -> str:
    """Return why the first line of a file names no columns: a spreadsheet may have written other separators."""
    for sign, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if _TYPE.encode() in [each.strip(b'" ') for each in line.split(sign, MOST_COLUMNS)]:
            return f"The columns are separated by {name}: they must be separated by commas, as the server writes them"
    return "The first line must name the columns, with type among them"


def _header(row: list[str], names: list[str], *, is_first: bool) -> list[str] | None:
    """Return the names in a row that is a header; None for another one.

    The field of a record's type is the server's own. All others of a record can hold what a customer writes, so they make no
    header of it: without type at its beginning, only the first row is one, or another in whose field of the type is a name.
    """
    stripped = [name.strip() for name in row] if _TYPE in row or is_first else row
    if stripped[0] == _TYPE:
        return stripped
    if _TYPE not in stripped:
        return None
    if not names:
        return stripped if is_first else None
    at = names.index(_TYPE)
    return stripped if at < len(row) and row[at] in names else None
