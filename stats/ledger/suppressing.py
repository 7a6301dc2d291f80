"""What the bounces and complaints of a batch tell suppressions: no row keeps their recipients."""

import datetime
from collections.abc import Collection, Sequence

from stats.intake.effort import spend_on_suppressions
from stats.kinds import Kind
from stats.ledger.announcing import EventOf
from stats.ledger.row import KEY, KIND, REASON, RECIPIENT, SERVER, Row
from stats.reasons import Reason
from suppressions.from_events import Evidence
from suppressions.models import Reason as Why

_BOUNCES = frozenset({Kind.BOUNCED.value, Kind.LATE_BOUNCE.value})
_KINDS = _BOUNCES | {Kind.COMPLAINT.value}
_TIME_BYTES = 6


def evidence_in(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that may suppress their recipients. No query: most batches have none."""
    # By the kind first: nearly all rows are of another, and all rows of all batches come by here.
    return [row for row in rows if row[KIND] in _KINDS and row[RECIPIENT] and _reason(row) is not None]


def evidence_of(rows: Sequence[Row], event_of: EventOf, new: Collection[bytes] | None) -> list[Evidence]:
    """Return what those of the rows say of their recipients whose key is `new`; None: all are. Raises TooMuchWork."""
    telling = [row for row in rows if new is None or row[KEY] in new]
    spend_on_suppressions(len(telling))
    return [_evidence(row, event_of) for row in telling]


def _reason(row: Row) -> Why | None:
    if row[KIND] == Kind.COMPLAINT.value:
        return Why.COMPLAINT
    return Why.HARD_BOUNCE if row[KIND] in _BOUNCES and row[REASON] == Reason.NO_SUCH_MAILBOX.value else None


def _evidence(row: Row, event_of: EventOf) -> Evidence:
    event = event_of(row[KEY])
    milliseconds = int.from_bytes(row[KEY][:_TIME_BYTES], "big")
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    reason = _reason(row)
    assert reason is not None
    return Evidence(row[SERVER], event["to"], reason, event["id"], at)
