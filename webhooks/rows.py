"""A webhook in a worker's run, and the calls that a thread makes of it in a row."""

import datetime
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from webhooks.calling import MOST_ERROR, Caller, Outcome, Resolve
from webhooks.claiming import Claimed
from webhooks.signing import Signer

# A thread makes as many calls of a webhook in a row, over one connection, as fit into so many seconds, and so many at most.
ROW_SECONDS = 0.2
LONGEST_ROW = 25
_USER_AGENT = "Sluice"


class Share(Enum):
    """Who may have a part of the threads only."""

    ANSWERING = 1
    NEW = 2
    FAILING = 3


@dataclass(slots=True)
class Line:
    """A webhook in this run: its receiver, what waits for it, and how it answers."""

    webhook_id: int
    url: str
    is_signed: bool
    host: str
    organization_id: int
    # Failed attempts in a row, as far as they are written down.
    failures: int
    # One call at a time, until one succeeds: its calls were held back.
    is_trial: bool
    answered_at: datetime.datetime | None
    # Whether its last call succeeded, as far as is known.
    has_answered: bool
    ready: deque[Claimed] = field(default_factory=deque)
    # Rows under way, each of which is one call at a time, and the deliveries that are in them.
    under_way: int = 0
    in_rows: int = 0
    # The most calls under way.
    window: int = 1
    # Seconds that a call of the last row took.
    seconds: float = ROW_SECONDS
    is_closed: bool = False
    # Nothing more was due at the last look.
    is_drained: bool = False

    @property
    def share(self) -> Share:
        if self.has_answered:
            return Share.ANSWERING
        return Share.FAILING if self.failures else Share.NEW

    @property
    def row_length(self) -> int:
        """How many deliveries a thread takes at once: one of a receiver that does not answer, or answers slowly."""
        if not self.has_answered or self.window == 1:
            return 1
        return max(1, min(LONGEST_ROW, int(ROW_SECONDS / max(self.seconds, 0.001))))


@dataclass(frozen=True, slots=True)
class Made:
    """A row that is over: its calls, each with the time of its end, and the deliveries that were left.

    `share` is whose part of the threads it had, `seconds` how long it took.
    """

    line: Line
    share: Share
    calls: list[tuple[Claimed, Outcome, datetime.datetime]]
    left: list[Claimed]
    seconds: float


def make(
    line: Line,
    row: list[Claimed],
    *,
    signer: Signer | None,
    share: Share,
    resolve: Resolve,
    until: float,
    clock: Callable[[], datetime.datetime],
) -> Made:
    """Make the calls of a row until one fails, the webhook is no longer called, or the time is over; the first in any case.

    Without the database: it runs in a thread of its own. `until` is a time of `time.monotonic`.
    """
    begun = now = time.monotonic()
    until = min(until, begun + ROW_SECONDS)
    calls: list[tuple[Claimed, Outcome, datetime.datetime]] = []
    with Caller(line.url, resolve) as caller:
        for claimed in row:
            outcome = _call(caller, claimed, signer)
            calls.append((claimed, outcome, clock()))
            now = time.monotonic()
            if not outcome.is_success or line.is_closed or now >= until:
                break
    return Made(line, share, calls, row[len(calls) :], now - begun)


def _call(caller: Caller, claimed: Claimed, signer: Signer | None) -> Outcome:
    try:
        body = claimed.body.encode()
        headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT}
        if signer is not None:
            headers |= signer.headers(body)
        return caller.call(body=body, headers=headers)
    except Exception as problem:
        # Whatever it is, this delivery alone has it, and is tried again.
        return Outcome(None, error=f"The call failed: {type(problem).__name__}"[:MOST_ERROR])
