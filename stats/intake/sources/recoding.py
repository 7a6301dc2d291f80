"""Reads files of UTF-16 as UTF-8."""

import codecs
import io
from typing import IO, Any, cast

_CHUNK = 64 * 1024
# Bytes by which UTF-16 without a mark is known: every log and header begins with as many characters of ASCII.
_SAMPLE = 16


class _Recoded(io.RawIOBase):
    """A stream of UTF-16 as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder(encoding)("replace").decode
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        is_end = False
        while not self._rest and not is_end:
            part = self._stream.read(_CHUNK)
            is_end = not part
            self._rest = self._decode(part, is_end).encode()
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def recoded(stream: IO[bytes]) -> IO[bytes] | None:
    """Return the stream as UTF-8 if it is UTF-16, as PowerShell writes what other programs print; else None."""
    encoding = _wide(cast(io.BufferedReader, stream).peek(_SAMPLE)[:_SAMPLE])
    return cast(IO[bytes], io.BufferedReader(_Recoded(stream, encoding))) if encoding else None


def _wide(start: bytes) -> str:
    """Return which UTF-16 the beginning of a file is; "" for another encoding. Its mark may have been left out."""
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    first, second = start[::2], start[1::2]
    if len(start) == _SAMPLE and all(first) and not any(second):
        return "utf-16-le"
    return "utf-16-be" if len(start) == _SAMPLE and all(second) and not any(first) else ""
