"""The consumers of a batch: throttle programs, webhooks and suppressions, whose records are the configuration's.

Where there is one database they act in the transaction that stores the events. Where there are two, that transaction writes
down what they are to be told, and each acts in one of its own (stats.ledger.outbox). It cannot be told by the events later: no
row of the ledger keeps mailboxes.
"""

import datetime
import json
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from stats.ledger import announcing, storage, suppressing, throttle_buckets
from stats.ledger.announcing import EventOf
from stats.ledger.row import KEY, Row
from stats.models import Batch, Consumer
from suppressions.from_events import Evidence, suppress_recipients
from suppressions.models import Reason
from webhooks.payloads import MessageEvent
from webhooks.queueing import targets_of


@dataclass(slots=True)
class Work:
    """What the consumers are told of one batch."""

    # Throttle buckets with what is added to them.
    attempts: list[list[int]] = field(default_factory=list)
    # Server and message.
    messages: list[tuple[int, MessageEvent]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.attempts or self.messages or self.evidence)

    def of(self, consumer: Consumer) -> Sequence[Any]:
        """Return the part of one consumer."""
        match consumer:
            case Consumer.THROTTLE_PROGRAMS:
                return self.attempts
            case Consumer.WEBHOOKS:
                return self.messages
            case Consumer.SUPPRESSIONS:
                return self.evidence

    def document(self) -> str:
        """Return it as JSON."""
        document = {
            "attempts": self.attempts,
            "messages": [[server, *astuple(message)] for server, message in self.messages],
            "evidence": [[*astuple(each)[:4], each.at.isoformat()] for each in self.evidence],
        }
        return json.dumps(document)

    @classmethod
    def from_document(cls, text: str) -> "Work":
        """Return what `document` was made of."""
        document = json.loads(text)
        return cls(
            document["attempts"],
            [(server, MessageEvent(*message)) for server, *message in document["messages"]],
            [
                Evidence(server, address, Reason(reason), event, datetime.datetime.fromisoformat(at))
                for server, address, reason, event, at in document["evidence"]
            ],
        )


def act(rows: Sequence[Row], batch: Batch, event_of: EventOf | None, *, is_whole: bool, now: datetime.datetime) -> None:
    """Let the consumers act on a batch that is being stored, in its transaction. `is_whole`: all of the rows are new.

    Raises TooMuchWork.
    """
    found = _Found(rows, event_of, now)
    new = found.new_of(batch, is_whole=is_whole)
    if attempts := found.attempts_among(new):
        throttle_buckets.write(throttle_buckets.summed(attempts))
    if found.told and event_of is not None:
        announcing.announce(announcing.messages(rows, found.told, event_of, new), found.told, now=now)
    if found.evidence and event_of is not None:
        # The last: it holds the organizations' lists until the end.
        suppress_recipients(suppressing.evidence_of(found.evidence, event_of, new), now=now)


def work_of(
    rows: Sequence[Row], batch: Batch, event_of: EventOf | None, *, is_whole: bool, now: datetime.datetime
) -> Work:
    """Return what the consumers are to be told of a batch that is being stored. Raises TooMuchWork."""
    found = _Found(rows, event_of, now)
    new = found.new_of(batch, is_whole=is_whole)
    work = Work(throttle_buckets.summed(found.attempts_among(new)))
    if event_of is not None:
        work.messages = list(announcing.messages(rows, found.told, event_of, new)) if found.told else []
        work.evidence = suppressing.evidence_of(found.evidence, event_of, new) if found.evidence else []
    return work


def act_later(consumer: Consumer, part: Sequence[Any], *, now: datetime.datetime) -> None:
    """Let one consumer act on its part of the work, in a transaction of the configuration."""
    match consumer:
        case Consumer.THROTTLE_PROGRAMS:
            throttle_buckets.write(part)
        case Consumer.WEBHOOKS:
            told = targets_of({server for server, _ in part})
            announcing.announce(part, told, now=now)
        case Consumer.SUPPRESSIONS:
            suppress_recipients(part, now=now)


class _Found:
    """The rows that consumers may want, before it is known which are new. One query, of webhooks."""

    def __init__(self, rows: Sequence[Row], event_of: EventOf | None, now: datetime.datetime) -> None:
        self.recent = throttle_buckets.recent_attempts(rows, now)
        self.told = announcing.targets(rows) if event_of is not None else {}
        self.evidence = suppressing.evidence_in(rows) if event_of is not None else []

    def new_of(self, batch: Batch, *, is_whole: bool) -> Collection[bytes] | None:
        """Return the keys of the new rows; None: all are, or nobody wants to know."""
        if is_whole or not (self.recent or self.told or self.evidence):
            return None
        return storage.keys_of_batch(batch.pk, batch.least_key, batch.greatest_key)

    def attempts_among(self, new: Collection[bytes] | None) -> list[Row]:
        return self.recent if new is None else [row for row in self.recent if row[KEY] in new]
