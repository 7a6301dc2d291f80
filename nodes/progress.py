"""The progress of a node (last contact, applied revision, error), from its row and latest report, without queries."""

import datetime
from dataclasses import dataclass
from enum import StrEnum

from nodes.models import Node, NodeReport

# An agent asks every 25 seconds, and its asking is noted once a minute.
SILENT_AFTER = datetime.timedelta(minutes=3)


class State(StrEnum):
    """The most important state of a node."""

    UNPUBLISHED = "unpublished"
    NEVER_SEEN = "never seen"
    SILENT = "silent"
    FAILING = "failing"
    BEHIND = "behind"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class Progress:
    """A node's state, and the numbers behind it. `applied` and `wanted` are numbers of revisions."""

    state: State
    seen_at: datetime.datetime | None
    wanted: int | None
    applied: int | None
    error: str
    drift: tuple[str, ...]


def progress_of(node: Node, report: NodeReport | None, *, at: datetime.datetime) -> Progress:
    """Return the progress of the node; `node.revision` must be loaded."""
    heard = [each for each in (node.last_used_at, None if report is None else report.at) if each is not None]
    # A clock that was set back leaves times that are still to come.
    seen_at = min(max(heard), at) if heard else None
    wanted = None if node.revision is None else node.revision.number
    applied = None if report is None else report.revision_applied
    error = "" if report is None else report.error
    overlay = None if report is None else report.overlay_applied
    drift = tuple((report.body if report else {}).get("drift", ()))
    if wanted is None:
        state = State.UNPUBLISHED
    elif seen_at is None:
        state = State.NEVER_SEEN
    elif seen_at < at - SILENT_AFTER:
        state = State.SILENT
    elif error or drift:
        state = State.FAILING
    elif applied != wanted or overlay != node.overlay_number:
        state = State.BEHIND
    else:
        state = State.APPLIED
    return Progress(state, seen_at, wanted, applied, error, drift)
