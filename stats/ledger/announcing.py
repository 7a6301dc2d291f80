"""The messages that webhooks are told of, and their deliveries."""

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from core.texts import storable_part
from stats.intake.details import MOST_REPLY
from stats.intake.effort import spend_on_deliveries
from stats.intake.mailboxes import NotAMailbox, parse
from stats.kinds import Kind
from stats.ledger.row import KEY, KIND, RECIPIENT, SERVER, Row
from webhooks.payloads import MESSAGE_EVENTS, MessageEvent, of_message
from webhooks.queueing import Target, queue, targets_of
from webhooks.tasks import request_delivery

# The event that a row was read from, by the row's key.
type EventOf = Callable[[bytes], Mapping[str, Any]]

_KINDS = {kind.value: kind.label for kind in Kind if kind.label in MESSAGE_EVENTS}
_TIME_BYTES = 6


def targets(rows: Sequence[Row]) -> dict[int, list[Target]]:
    """Return the webhooks of the servers that these rows are about. One query, for most batches the only one."""
    return targets_of({row[SERVER] for row in rows})


def messages(
    rows: Sequence[Row], told: Mapping[int, list[Target]], event_of: EventOf, new: Collection[bytes] | None
) -> Iterator[tuple[int, MessageEvent]]:
    """Yield server and message of those of the rows that webhooks want and whose key is `new`; None: all are.

    Raises TooMuchWork.
    """
    for row in rows:
        kind = _KINDS.get(row[KIND])
        if kind is None or (new is not None and row[KEY] not in new):
            continue
        name, _ = MESSAGE_EVENTS[kind]
        wanting = [each for each in told.get(row[SERVER], ()) if each.wants(name)]
        if wanting:
            spend_on_deliveries(len(wanting))
            message = _message(row, kind, event_of(row[KEY]))
            # What no webhook may be told is not handed to any.
            is_private = all(each.is_private for each in wanting)
            yield row[SERVER], replace(message, recipient=None, reply=None) if is_private else message


def announce(
    found: Iterable[tuple[int, MessageEvent]], told: Mapping[int, list[Target]], *, now: datetime.datetime
) -> None:
    """Write the deliveries of these messages, in the caller's transaction. They are sent after its commit."""
    if queue(_deliveries(found, told), now=now):
        transaction.on_commit(request_delivery)


def _deliveries(
    found: Iterable[tuple[int, MessageEvent]], told: Mapping[int, list[Target]]
) -> Iterator[tuple[Target, str, dict[str, Any]]]:
    for server, message in found:
        name, _ = MESSAGE_EVENTS[message.kind]
        for target in told.get(server, ()):
            if target.wants(name):
                yield target, name, of_message(message, is_private=target.is_private)


def _message(row: Row, kind: str, event: Mapping[str, Any]) -> MessageEvent:
    at = int.from_bytes(row[KEY][:_TIME_BYTES], "big") / 1000
    seconds = event.get("seconds")
    is_known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= at
    return MessageEvent(
        kind=kind,
        id=event["id"],
        at=at,
        sender=_mailbox(event.get("from")),
        # Of one that could not be read the event knows nothing.
        recipient=_mailbox(event.get("to")) if row[RECIPIENT] else None,
        reply=_text(event.get("reply")),
        accepted_at=round(at - float(seconds), 3) if is_known and seconds is not None else None,
    )


def _mailbox(text: Any) -> str | None:
    """Return a mailbox as the event has it, without angle brackets; None where it is not one."""
    if type(text) is not str:
        return None
    mailbox: str = text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text
    try:
        parse(mailbox)
    except NotAMailbox:
        return None
    return mailbox


def _text(reply: Any) -> str | None:
    if type(reply) is not str or not reply:
        return None
    shown = reply[:MOST_REPLY]
    return shown if storable_part(shown) == shown.replace("\r", "") else None
