"""Logs of systemd's journal, as lines of a syslog: `journalctl -o json` and its like, `-o short-full`; and Docker's JSON.

The other short forms are lines of a syslog already. What has no time, no zone or no program in its lines, or more than one line
for an entry, is refused as a whole, with the form to use: line by line, nobody would see why.
"""

import datetime
import functools
import re
import zoneinfo
from collections.abc import Iterator
from typing import IO, Any, cast

import orjson

from stats.intake.sources.base import Refused, mapping, text

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Microseconds since 1970: sixteen digits until the year 2286.
_MOST_DIGITS = 16
# Before each entry of `-o json-seq` and `-o json-sse`.
_BEFORE_JSON = (b"\x1e", b"data: ")

_FULL = re.compile(
    rb"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) ([A-Z]{2,6}|[+-]\d\d(?:\d\d)?) (?=\S+ \S)"
)
_UNIT = re.compile(rb"\S+ [^\s:\[]+\.(?:service|scope|slice|mount|socket)(?:/[^\s:\[]+)?\[\d+\]: ")
# A message of Postfix with nothing before it.
_BARE = re.compile(
    rb"(?:[0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{11,31}): "
    rb"(?:to=<|from=<|client=|uid=\d|message-id=|removed$)|(?:dis)?connect from \S+\[[^\]\s]*\]"
)
# A time, or JSON, which has one.
_STAMPED = re.compile(rb"\S{0,40}\d\d:\d\d|[A-Z][a-z]{2} |\d{10}\.|\{|<\d")
_FORMS = (
    (re.compile(rb"__(?:CURSOR|REALTIME_TIMESTAMP)="), "-o export"),
    (re.compile(_FULL.pattern.replace(rb"(?=\S+ \S)", rb"") + rb"\[s=[0-9a-f]{32};"), "-o verbose"),
    (re.compile(rb"\[ *\d+\.\d{6}(?: <[^>]*>)?\] \S+ [^\s:]+: "), "-o short-monotonic"),
)
# `journalctl` and `date` name months in the language that is set.
_MONTH = re.compile(rb"(\d{0,2}[^\s\d<\[{:]{1,12}) +\d{1,2} \d\d:\d\d:\d\d \S+ [^\s:\[]+\[\d+\]: ")
_MONTHS = frozenset(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_PRETTY = re.compile(rb"^\{\r?\n\s+\"", re.MULTILINE)
_INSTEAD = "use `journalctl -o json --all` or `-o short-iso`"
# Lines that are looked at for the form: journalctl writes some of its own before the first.
_LOOKED_AT = 20


def unread(stream: IO[bytes], time_zone: str) -> Refused | None:
    """Return the one refusal of a stream in a form that cannot be read, by its first lines, which stay in it; else None."""
    start = cast(Any, stream).peek(1)[: _LOOKED_AT * 1_024]
    looked_at = start.splitlines()[:_LOOKED_AT]
    if _PRETTY.search(start, 0, 1_000):
        return _refused("-o json-pretty")
    # Not where a line was cut before its message.
    if any(_BARE.match(line) for line in looked_at) and not any(_STAMPED.match(line) for line in looked_at):
        return _refused("-o cat")
    for line in looked_at:
        if (month := _MONTH.match(line)) and month[1] not in _MONTHS:
            said = month[1].decode("utf-8", "replace")
            return Refused(
                0, "unsupported_log", f"The months are not in English (“{said}”): set LC_ALL=C, or {_INSTEAD}"
            )
        for form, name in _FORMS:
            if form.match(line):
                return _refused(name)
        if full := _FULL.match(line):
            if _UNIT.match(line, full.end()):
                return Refused(
                    0, "unsupported_log", f"`journalctl -o with-unit` leaves out which program wrote a line: {_INSTEAD}"
                )
            if _with_offset(*full.groups(), time_zone) is None:
                zone = full[2].decode()
                return Refused(
                    0,
                    "unsupported_log",
                    f"The times are in {zone}, which is not in the source's time zone ({time_zone}): set it, or {_INSTEAD}",
                )
    return None


def _refused(form: str) -> Refused:
    return Refused(0, "unsupported_log", f"This is what `journalctl {form}` writes, which is not read: {_INSTEAD}")


def syslog_lines(
    found: Iterator[tuple[int, bytes | Refused, bool]], time_zone: str
) -> Iterator[tuple[int, bytes | Refused, bool]]:
    """Yield each line as one of a syslog."""
    for index, line, whole in found:
        if type(line) is bytes:
            start = line[:1]
            if start in (b"{", b"\x1e", b"d"):
                for before in _BEFORE_JSON:
                    line = line.removeprefix(before)
                if line.startswith(b"{"):
                    line = as_line(line)
            elif start.isalpha() and (full := _FULL.match(line)) and (at := _with_offset(*full.groups(), time_zone)):
                line = at + b" " + line[full.end() :]
        yield index, line, whole


@functools.lru_cache(4_096)
def _with_offset(at: bytes, zone: bytes, time_zone: str) -> bytes | None:
    """Return a time of `-o short-full` with its offset; None where the source's zone does not have that name then."""
    offset: datetime.timedelta | None = None
    try:
        moment = datetime.datetime.fromisoformat(at.decode())
    except ValueError:
        return None
    if zone in (b"UTC", b"GMT"):
        offset = datetime.timedelta(0)
    elif zone[:1] in (b"+", b"-"):
        offset = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[3:] or b"0"))
        offset = -offset if zone[:1] == b"-" else offset
    else:
        # In the hour that autumn repeats, the name says which of both it is.
        both = (moment.replace(tzinfo=zoneinfo.ZoneInfo(time_zone or "UTC"), fold=fold) for fold in (0, 1))
        offset = next((each.utcoffset() for each in both if each.tzname() == zone.decode()), None)
    if offset is None or abs(offset) >= datetime.timedelta(days=1):
        return None
    return moment.replace(tzinfo=datetime.timezone(offset)).isoformat().encode()


def as_line(line: bytes) -> bytes:
    """Return the entry's message with time, host and program before it; what is no such entry as it is.

    Of Docker's files (json-file), the line that the container wrote.

    journalctl leaves out messages over 4 KiB without `--all`, and writes those that are not UTF-8 as numbers.
    """
    try:
        entry = mapping(orjson.loads(line))
    except orjson.JSONDecodeError:
        return line
    if type(written := entry.get("log")) is str:
        return written.rstrip("\r\n").encode("utf-8", "surrogateescape")
    message, micros = entry.get("MESSAGE"), text(entry.get("__REALTIME_TIMESTAMP"))
    if type(message) is list:
        try:
            message = bytes(message).decode("utf-8", "surrogateescape")
        except (TypeError, ValueError):
            return line
    if type(message) is not str or not (micros.isascii() and micros.isdecimal() and len(micros) <= _MOST_DIGITS):
        return line
    at = (_EPOCH + datetime.timedelta(microseconds=int(micros))).isoformat(timespec="microseconds")
    host, program = text(entry.get("_HOSTNAME")) or "-", text(entry.get("SYSLOG_IDENTIFIER"))
    pid = text(entry.get("SYSLOG_PID")) or text(entry.get("_PID")) or "0"
    return f"{at} {host} {program}[{pid}]: {message}".encode("utf-8", "surrogateescape")
