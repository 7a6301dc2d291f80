"""The state of messages that the reader of Postfix's log keeps. Standard library only, Python 3.9."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any


class Message:
    """What the lines of one queue id have said so far."""

    __slots__ = (
        "attempts",
        "done",
        "handed",
        "incoming",
        "nrcpt",
        "own",
        "probe",
        "sender",
        "server",
        "touched",
        "waits",
        "zone",
    )

    def __init__(self, server: str | None, touched: int) -> None:
        # None: no login.
        self.server = server
        self.touched = touched
        self.sender: str | None = None
        self.nrcpt = 0
        # It was counted, or is not to be counted.
        self.incoming = False
        # By open recipient: see log_attempts.
        self.attempts: dict[str, list[Any]] = {}
        # Sums of the recipients with a final outcome.
        self.done: set[int] = set()
        # Another instance took it over.
        self.handed = False
        # A notification made here.
        self.own = False
        # `incoming` waits here for the first outcome: it may be an address verification (sendmail -bv).
        self.probe: list[dict[str, Any]] | None = None
        # The queue id at the instance before this one, whose lines were not seen yet.
        self.waits: str | None = None
        # Seconds by which the log's time is off the queue id's.
        self.zone = 0

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        values["done"] = sorted(self.done)
        if self.probe:
            values["probe"] = [dict(out, where=None) for out in self.probe]
        # Of the empty ones a null sender, and `incoming` that waits for its active line, say something.
        return {
            name: value for name, value in values.items() if value or value == "" or (value == [] and name == "probe")
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Message:
        message = cls(None, 0)
        for name in cls.__slots__:
            if name in values:
                setattr(message, name, values[name])
        message.done = set(message.done)
        return message


class Held:
    """What waits until the lines of an earlier instance say whose it is."""

    __slots__ = ("keys", "outs", "since")

    def __init__(self, since: int, keys: Iterable[str] = (), outs: Iterable[dict[str, Any]] = ()) -> None:
        self.since, self.keys, self.outs = since, list(keys), list(outs)

    def as_json(self) -> list[Any]:
        return [self.since, self.keys, [dict(out, where=None) for out in self.outs]]

    @classmethod
    def from_json(cls, values: list[Any]) -> Held:
        return cls(*values)


def queue_key(qid: str, host: str) -> str:
    """Return what a message is known by."""
    # A short id is an inode and some microseconds: it comes again, and on another machine too.
    return qid if len(qid) > 10 and qid[10] == "z" else host + "/" + qid


def recipient_sum(recipient: str) -> int:
    """Return what a recipient with a final outcome is remembered by."""
    return zlib.crc32(recipient.encode("utf-8", "surrogateescape"))
