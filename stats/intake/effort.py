"""Bounds the work of a request that depends on what its events say, and not on how many bytes they have.

A domain that is not ASCII takes some two hundred times as long to read as one that is, and a reply takes time by its length,
unless the same was read before. An event takes time for each webhook that is told of it, and a bounce for the suppression of
its recipient. A body's size and shape tell none of these, and each format writes them in its own way: so they are counted where
the work is done. Files that operators read are not bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Characters of domains that are not ASCII, which are converted to A-labels.
MOST_INTERNATIONAL = 100_000
# Characters of replies that are classified.
MOST_REPLIES = 8 * 1024 * 1024
# Deliveries of webhooks that are written: one for each event and webhook.
MOST_DELIVERIES = 20_000
# Bounces and complaints that may suppress their recipients.
MOST_SUPPRESSIONS = 20_000
INTERNATIONAL = f"The domains of a request that are not ASCII must not have more than {MOST_INTERNATIONAL:,} characters"
REPLIES = f"The different replies of a request must not have more than {MOST_REPLIES:,} characters"

DELIVERIES = (
    f"The events of a request must not make more than {MOST_DELIVERIES:,} deliveries of webhooks: send fewer at once"
)
SUPPRESSIONS = (
    f"The events of a request must not suppress more than {MOST_SUPPRESSIONS:,} recipients: send fewer at once"
)


class TooMuchWork(Exception):
    """The events of a request would take too long. What was stored before stays stored."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class _Left:
    """What the current request may still bring: characters, deliveries, suppressions."""

    def __init__(self) -> None:
        self.international, self.replies, self.deliveries = MOST_INTERNATIONAL, MOST_REPLIES, MOST_DELIVERIES
        self.suppressions = MOST_SUPPRESSIONS


_left: ContextVar[_Left | None] = ContextVar("sluice_effort_left", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Bound what is read inside; TooMuchWork is raised where the bound is passed."""
    token = _left.set(_Left())
    try:
        yield
    finally:
        _left.reset(token)


def spend_on_domain(text: str) -> None:
    """Count a domain that is about to be converted; raises TooMuchWork."""
    left = _left.get()
    if left is not None:
        left.international -= len(text)
        if left.international < 0:
            raise TooMuchWork(INTERNATIONAL)


def spend_on_reply(text: str) -> None:
    """Count a reply that is about to be classified; raises TooMuchWork."""
    left = _left.get()
    if left is not None:
        left.replies -= len(text)
        if left.replies < 0:
            raise TooMuchWork(REPLIES)


def spend_on_deliveries(number: int) -> None:
    """Count deliveries that are about to be written; raises TooMuchWork."""
    left = _left.get()
    if left is not None:
        left.deliveries -= number
        if left.deliveries < 0:
            raise TooMuchWork(DELIVERIES)


def spend_on_suppressions(number: int) -> None:
    """Count recipients that may be suppressed; raises TooMuchWork."""
    left = _left.get()
    if left is not None:
        left.suppressions -= number
        if left.suppressions < 0:
            raise TooMuchWork(SUPPRESSIONS)
