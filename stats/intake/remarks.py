"""Remarks on single events: refusals, warnings, conflicts."""

from typing import NamedTuple


class Remark(NamedTuple):
    """One event's position in what was sent, a code for programs and a sentence for people."""

    position: int
    code: str
    message: str
    # Which of the files that were sent together, from 0.
    stream: int = 0


class EventRefused(Exception):
    """The reason why one event is refused."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)
