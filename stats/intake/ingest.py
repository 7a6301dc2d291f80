"""Ingests events, from HTTP and from files alike."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stats.intake import refusals
from stats.intake.directory import Directory, Reporter
from stats.intake.reading import Reading, read
from stats.intake.remarks import Remark
from stats.ledger import storage, storing
from stats.ledger.row import ADDRESS, SERVER

__all__ = ["MOST_EVENTS", "Directory", "Receipt", "Remark", "Reporter", "ingest"]

# What a caller passes at once; more is cut into batches of this size. At most 40 days' events go into one.
MOST_EVENTS = 10_000
CONFLICT = "An event with this id, type, time and recipient was reported before with another address, sender or reply"
_DAY_CLOSED = "The server's events of this day are no longer held, so this could be a replay of one of them"


@dataclass(slots=True)
class Receipt:
    """What became of events. Each is accepted, or a duplicate of one that was accepted before, or in conflict with one, or of
    a type that is not counted, or refused. A warning says what was left out of an event, whatever became of it."""

    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    conflicts: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)


def ingest(
    events: Sequence[Any], *, reporter: Reporter, now: datetime.datetime, directory: Directory | None = None
) -> Receipt:
    """Validate and store events (parsed JSON of any structure), and return the outcome of each.

    What the receipt calls accepted is committed. When this raises, the batches before the one that failed are committed
    too: sending everything again counts each event once. A `directory` may be kept for some seconds of calls by the same
    reporter; it saves looking everything up again.
    """
    directory = directory or Directory(reporter, now=now)
    receipt = Receipt()
    for start in range(0, len(events), MOST_EVENTS):
        reading = read(events[start : start + MOST_EVENTS], directory, now=now)
        _store(reading, events, directory, receipt, start, now)
    for remarks in (receipt.conflicts, receipt.warnings, receipt.refused):
        remarks.sort()
    if not reporter.is_source:
        server_id = reporter.server.pk if reporter.server else None
        refusals.note([*receipt.refused, *receipt.conflicts], events, server_id=server_id, now=now)
    return receipt


def _store(
    reading: Reading,
    events: Sequence[Any],
    directory: Directory,
    receipt: Receipt,
    start: int,
    now: datetime.datetime,
) -> None:
    def event_of(key: bytes) -> Mapping[str, Any]:
        event: Mapping[str, Any] = events[start + reading.positions[key]]
        return event

    rows = list(reading.rows.values())
    directory.note_subjects({each[SERVER] for each in rows}, {each[ADDRESS] for each in rows})
    directory.note_names()
    late: set[bytes] = set()
    conflicts: set[bytes] = set()
    size = storage.batch_limit()
    for first in range(0, len(rows), size):
        if first or start:
            storage.yield_to_writers()
        stored = storing.store(rows[first : first + size], now=now, event_of=event_of)
        receipt.accepted += stored.accepted
        receipt.duplicates += stored.duplicates
        late |= stored.closed
        conflicts |= stored.conflicts
    receipt.ignored += reading.ignored
    repeated = [index for index, key in reading.repeated if key not in late and key not in conflicts]
    receipt.duplicates += len(repeated)
    contradicting = [reading.positions[key] for key in conflicts]
    # What agrees with a row that is itself in conflict is in conflict, too.
    contradicting += [index for index, key in reading.repeated if key in conflicts]
    contradicting += [index for index, key in reading.contradicting if key not in late]
    refused = [reading.positions[key] for key in late]
    refused += [index for index, key in [*reading.repeated, *reading.contradicting] if key in late]
    receipt.conflicts += [Remark(start + index, "conflict", CONFLICT) for index in contradicting]
    receipt.refused += [Remark(start + index, "day_closed", _DAY_CLOSED) for index in refused]
    receipt.refused += [each._replace(position=start + each.position) for each in reading.refused]
    receipt.warnings += [each._replace(position=start + each.position) for each in reading.warnings]
