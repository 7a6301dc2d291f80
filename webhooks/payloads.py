"""The payload of an event, in Postal's format. Values that an event does not have are null."""

import datetime
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servers.models import Domain, Server

# By the kind of the event: Postal's name of the webhook's event, and its word for the message's status, "" where it has none.
MESSAGE_EVENTS: Mapping[str, tuple[str, str]] = {
    "sent": ("MessageSent", "Sent"),
    "deferred": ("MessageDelayed", "SoftFail"),
    "bounced": ("MessageDeliveryFailed", "HardFail"),
    "held": ("MessageHeld", "Held"),
    "late_bounce": ("MessageBounced", ""),
}
DOMAIN_ERROR = "DomainDNSError"
LIMIT_APPROACHING = "SendLimitApproaching"
LIMIT_EXCEEDED = "SendLimitExceeded"
_CHECKS = ("spf", "dkim", "mx", "return_path")
_STATUSES = {None: None, "": None, "ok": "OK", "missing": "Missing", "invalid": "Invalid"}


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """What an event says of a message; None where it does not.

    `at` and `accepted_at` are seconds since 1970, `sender` and `recipient` mailboxes, `reply` the receiver's.
    """

    kind: str
    id: str
    at: float
    sender: str | None = None
    recipient: str | None = None
    reply: str | None = None
    accepted_at: float | None = None


def of_message(event: MessageEvent, *, is_private: bool) -> dict[str, Any]:
    """Return the payload of a message's event.

    A server's privacy mode leaves out the recipient, and the reply, which often repeats it.
    """
    recipient, reply = (None, None) if is_private else (event.recipient, event.reply)
    message = _message(number=event.id, to=recipient, sender=event.sender, timestamp=event.accepted_at)
    _, status = MESSAGE_EVENTS[event.kind]
    if not status:
        return {"original_message": message, "bounce": {**_message(), "direction": None}}
    return {
        "message": message,
        "status": status,
        "details": None,
        "output": reply,
        "sent_with_ssl": None,
        "timestamp": event.at,
        "time": None,
    }


def _message(
    *,
    number: str | None = None,
    to: str | None = None,
    sender: str | None = None,
    timestamp: float | None = None,
) -> dict[str, Any]:
    return {
        "id": number,
        "token": None,
        "direction": "outgoing",
        "message_id": None,
        "to": to,
        "from": sender,
        "subject": None,
        "timestamp": timestamp,
        "spam_status": None,
        "tag": None,
    }


def of_domain(domain: Domain) -> dict[str, Any]:
    """Return the payload of DomainDNSError; the domain comes with its server and organization."""
    checks: dict[str, Any] = {}
    for name in _CHECKS:
        checks[f"{name}_status"] = _STATUSES[getattr(domain, f"{name}_status")]
        checks[f"{name}_error"] = getattr(domain, f"{name}_error") or None
    checked_at = domain.dns_checked_at
    return {
        "domain": domain.name,
        "uuid": str(domain.uuid),
        "dns_checked_at": None if checked_at is None else checked_at.timestamp(),
        **checks,
        "server": of_server(domain.server),
    }


def of_limit(server: Server, *, volume: int, limit: int) -> dict[str, Any]:
    """Return the payload of SendLimitApproaching and SendLimitExceeded: messages in an hour, and how many may be."""
    return {"server": of_server(server), "volume": volume, "limit": limit}


def of_server(server: Server) -> dict[str, Any]:
    """Return a server as payloads mention it."""
    return {
        "uuid": str(server.uuid),
        "name": server.name,
        "permalink": server.permalink,
        "organization": server.organization.permalink,
    }


def body_of(*, event: str, payload: Mapping[str, Any], delivery: uuid.UUID, at: datetime.datetime) -> str:
    """Return the body of a request: ASCII, so that it is the same bytes wherever it is stored."""
    document = {"event": event, "timestamp": at.timestamp(), "payload": payload, "uuid": str(delivery)}
    return json.dumps(document, separators=(",", ":"))
