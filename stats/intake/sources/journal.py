"""Logs whose lines are JSON, as lines of a syslog: the journal of systemd by `journalctl -o json`, and Docker's files."""

import datetime

import orjson

from stats.intake.sources.base import mapping, text

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Microseconds since 1970: sixteen digits until the year 2286.
_MOST_DIGITS = 16


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
