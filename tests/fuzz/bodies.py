"""Bodies of `events` that cost much for their size: those that are known, and a generator that looks for worse ones."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

MEBIBYTE = 1024 * 1024
# What one request may cost a web process: bytes of memory and seconds of a processor.
MEMORY = 256 * MEBIBYTE
SECONDS = 5
# What a request may bring, and what may come out of it.
_SENT, _UNPACKED = 16 * MEBIBYTE, 60 * MEBIBYTE


def line_of(value: bytes, length: int) -> bytes:
    """Return an object on a line that holds as many of a value as the length has room for."""
    return b'{"a":[' + value * ((length - 10) // len(value)) + b"1]}\n"


def bounce(number: int, length: int) -> bytes:
    """Return an event on a line whose domain and reply are its own, the reply of about a length, at most 1,000."""
    words = b"w%d user%d@x " % (number, number * 7)
    reply = (words * (length // len(words)))[:980]
    fields = b'"id":"%d","type":"bounced","at":1790000000,"to":"a@b%d.example","reply":"550 %d %b"'
    return b"{" + fields % (number, number, number, reply) + b"}\n"


# The largest that are read.
LARGEST = {
    "lists": gzip.compress(line_of(b"[],", 65_000) * 42 + line_of(b"1,", 250) * 45_000, 1),
    "objects": gzip.compress(line_of(b'{"":1},', 65_000) * 60 + line_of(b"1,", 250) * 45_000, 1),
    "texts": gzip.compress(line_of(b'"\xc3\xa9\xc3\xa9",', 65_000) * 60, 1),
    "an array of texts": b"[" + b'"\xc3\xa9\xc3\xa9\xc3\xa9",' * 999_000 + b"1]",
    "an array of objects": b"[" + b'{"x":{"y":1}},' * 90_000 + b"1]",
}
# Those that were found: seconds to minutes, and gigabytes, from some kilobytes. They are refused before the work begins.
FOUND: dict[str, Callable[[], bytes]] = {
    "lines of nothing": lambda: gzip.compress(b"{}\n" + b"1\n" * 8_000_000, 9),
    "empty lines": lambda: gzip.compress(b"{}\n" + b"\n" * 8_000_000, 9),
    "an object of lists": lambda: gzip.compress(b'{"a":[' + b"[]," * 10_000_000 + b"[]]}", 9),
    "an array of lists": lambda: b"[" + b"[]," * 5_000_000 + b"1]",
    "an array of numbers": lambda: b"[" + b"1," * 7_000_000 + b"1]",
    "an array of objects": lambda: b"[" + b'{"a":1},' * 300_000 + b"1]",
    "lines of lists": lambda: gzip.compress(line_of(b"[],", 65_000) * 1_000, 1),
    "empty members": lambda: gzip.compress(b"{}") + gzip.compress(b"", mtime=0) * 150_000,
    "long replies": lambda: gzip.compress(b"".join(bounce(n, 1_000) for n in range(45_000)), 6),
    "levels": lambda: b'{"id":' + b"[" * 8_000_000 + b"]" * 8_000_000 + b"}",
}

_LISTS = b"[" + b"[]," * 3_000_000 + b"1]"
# For event sources, whose readers unpack, and pass over, more. Each of them took seconds to minutes, or gigabytes.
OF_SOURCES: dict[str, Callable[[], bytes]] = {
    "carriage returns": lambda: b"x" + b"\r" * 4_000_000,
    "packed carriage returns": lambda: gzip.compress(b"\r" * 30_000_000),
    "packed twice": lambda: gzip.compress(gzip.compress(b"\n" * 4_000_000)),
    "an array that is packed twice": lambda: gzip.compress(gzip.compress(_LISTS)),
    "a byte order mark before what is packed": lambda: b"\xef\xbb\xbf" + gzip.compress(b"\n" * 4_000_000),
    "a bracket and empty lines": lambda: b"[" + b"\n" * 4_000_000,
    "NULs before an array": lambda: gzip.compress(b"\0" * 100_000 + _LISTS),
    "blanks before an array": lambda: gzip.compress(b" " * 100_000 + _LISTS),
    "byte order marks before an array": lambda: gzip.compress(b"\xef\xbb\xbf" * 2 + _LISTS),
    "NULs": lambda: gzip.compress(b"\0" * 60_000_000),
    "NULs in lines": lambda: gzip.compress((b"\0" * 1_000 + b"\n") * 49_000),
    "long lines": lambda: gzip.compress((b"x" * 1_200 + b"\n") * 49_000),
}

VALUES = [
    b"1",
    b"[]",
    b"{}",
    b'"a"',
    b'"\xc3\xa9\xc3\xa9"',
    b'{"a":1}',
    b"[[]]",
    b"1.5",
    b"null",
    b'""',
    b"12345678901",
    b'"\\u00e9"',
    b"1e300",
    b'{"id":"1","type":"sent","at":1790000000}',
]
_FRAMES = ("array", "lines", "events")
_LENGTHS = (50, 700, 1_300, 65_000)


@dataclass(frozen=True)
class Shape:
    """What a body is made of: small enough to be changed in one way, and made into bytes when it is sent."""

    frame: str
    values: tuple[bytes, ...]
    length: int
    count: int
    members: int

    @property
    def body(self) -> bytes:
        value = b",".join(self.values) + b","
        if self.frame == "array":
            return b"[" + value * min(self.count * 1_000, _SENT // len(value) - 1) + b"1]"
        line = line_of(value, max(self.length, len(value) + 10))
        if self.frame == "events":
            lines = [bounce(n, self.length) for n in range(min(self.count, 45_000))]
        else:
            lines = [line] * min(self.count, _UNPACKED // len(line))
        step = max(1, -(-len(lines) // self.members))
        return b"".join(_packed(b"".join(lines[at : at + step])) for at in range(0, len(lines), step))


def any_shape(random: Random) -> Shape:
    values = tuple(random.choices(VALUES, k=random.randint(1, 4)))
    count = random.choice((1_000, 10_000, 45_000, 90_000))
    return Shape(random.choice(_FRAMES), values, random.choice(_LENGTHS), count, random.choice((1, 1, 30, 900)))


def changed(shape: Shape, random: Random) -> Shape:
    """Return the shape with one thing about it changed."""
    other = any_shape(random)
    name = random.choice(("frame", "values", "length", "count", "members"))
    return replace(shape, **{name: getattr(other, name)})


def _packed(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
