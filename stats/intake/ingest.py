"""Events in: the one way for every door, be it HTTP or a file."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stats.counts import buckets
from stats.intake import refusals
from stats.intake.directory import Directory, Reporter
from stats.intake.reading import Reading, Refusal, read
from stats.ledger import storage, storing

__all__ = ["MOST_EVENTS", "Directory", "Receipt", "Refusal", "Reporter", "ingest"]

# What a caller passes at once; more is cut into batches of this size. At most 40 days' events go into one.
MOST_EVENTS = 10_000


@dataclass(slots=True)
class Receipt:
    """What became of events. Each is accepted, or a duplicate of one that was accepted before, or refused."""

    accepted: int = 0
    duplicates: int = 0
    refused: list[Refusal] = field(default_factory=list)


def ingest(
    events: Sequence[Any], *, reporter: Reporter, now: datetime.datetime, directory: Directory | None = None
) -> Receipt:
    """Check and store events (parsed JSON of any shape), and return what became of each.

    What the receipt calls accepted is committed. When this raises, the batches before the one that failed are committed
    too: sending everything again counts each event once. A `directory` may be kept for some seconds of calls by the same
    reporter; it saves looking everything up again.
    """
    directory = directory or Directory(reporter, now=now)
    receipt = Receipt()
    for start in range(0, len(events), MOST_EVENTS):
        reading = read(events[start : start + MOST_EVENTS], directory, now=now)
        _store(reading, directory, receipt, start, now)
    receipt.refused.sort()
    refusals.note(receipt.refused, server_id=reporter.server.pk if reporter.server else None, now=now)
    return receipt


def _store(reading: Reading, directory: Directory, receipt: Receipt, start: int, now: datetime.datetime) -> None:
    rows = list(reading.rows.values())
    directory.note_subjects({row[2] for row in rows}, {row[3] for row in rows})
    closed: set[int] = set()
    size = storage.batch_limit()
    for first in range(0, len(rows), size):
        if first or start:
            storage.give_way()
        stored = storing.store(rows[first : first + size], now=now)
        receipt.accepted += stored.accepted
        receipt.duplicates += stored.duplicates
        closed |= stored.closed_days
    late = {row[0] for row in rows if row[1] // buckets.MINUTES_A_DAY in closed} if closed else set()
    again = [(index, key) for index, key in reading.repeated if key in late]
    receipt.duplicates += len(reading.repeated) - len(again)
    refused = reading.refused + [
        Refusal(
            index, "day_closed", "The events of this day are no longer held, so this could be a replay of one of them"
        )
        for index in [reading.positions[key] for key in late] + [index for index, _ in again]
    ]
    receipt.refused += [refusal._replace(position=start + refusal.position) for refusal in refused]
