"""Postal: its webhooks, one URL for each of its servers. docs.postalserver.io/developer/webhooks."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from stats.intake.sources import public_keys
from stats.intake.sources.base import (
    BadKey,
    BadSignature,
    Found,
    Ignored,
    RecordReader,
    Settings,
    Unreadable,
    digest,
    earlier,
    identifier,
    mapping,
    moment,
    record_of,
    stamp,
    tenant,
    text,
)
from stats.intake.sources.fields import Fields
from stats.intake.sources.framing import json_records, open_stream

_KINDS = {
    "MessageSent": "sent",
    "MessageDelayed": "deferred",
    "MessageDeliveryFailed": "bounced",
    "MessageHeld": "held",
    "MessageBounced": "late_bounce",
}
# "… accepted by 198.51.100.10:25 (mx1.example.com) (from 192.0.2.11)": read at the end, for the start has the recipient.
_FROM = re.compile(r" \(from ([0-9A-Fa-f.:]+)\)\s*$")
_HOST = re.compile(r" (?:by|to) \S+:\d+ \(([^\s()]+)\)(?: \(from [0-9A-Fa-f.:]+\))?\s*$")


def reader(settings: Settings) -> RecordReader:
    """Return a reader of webhooks."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the outcomes of a webhook."""
    record = record_of(parsed)
    word = text(record.get("event"))
    kind = _KINDS.get(word)
    if kind is None:
        if not word:
            raise Unreadable("invalid_event", "A webhook must have an event")
        return [Ignored(index, word)]
    payload = mapping(record.get("payload"))
    message = mapping(payload.get("original_message" if kind == "late_bounce" else "message"))
    if message.get("direction") == "incoming":
        return [Ignored(index, f"{word} of an incoming message")]
    said_at = record.get("timestamp") if kind == "late_bounce" else payload.get("timestamp", record.get("timestamp"))
    at = moment(said_at, "timestamp")
    # The uuid is the webhook's, not the event's.
    base = identifier(message.get("id"), "payload.message.id")
    if kind == "late_bounce":
        same = digest("Bounced", mapping(payload.get("bounce")).get("id"), said_at)
    else:
        same = digest(payload.get("status"), said_at)
    fields = Fields(id=f"{base}-{same}", type=kind, at=stamp(at), server=tenant(settings, (), message, payload, record))
    fields.party("from", message.get("from"))
    fields.party("to", message.get("to"))
    if kind not in {"late_bounce", "held"}:
        details = text(payload.get("details"))
        if found := _FROM.search(details):
            fields.values["ip"] = found[1]
        fields.reply(payload.get("output") or details)
        if found := _HOST.search(details):
            fields.mx(found[1])
        fields.since(earlier(message.get("timestamp")), at)
    return [fields.event(index, texts=(text(message.get("tag")),))]


def _public_key(key: str) -> rsa.RSAPublicKey:
    found = public_keys.load(key, "an RSA public key")
    if not isinstance(found, rsa.RSAPublicKey):
        raise BadKey("The key must be an RSA public key")
    return found


def check_key(key: str) -> None:
    """Raise BadKey if the text is not a valid key."""
    _public_key(key)


def verify(body: bytes, headers: Mapping[str, str], key: str) -> None:
    """Check the signature of a webhook; raises BadSignature."""
    # SHA-256 since Postal 3.1, SHA-1 before.
    algorithm: hashes.HashAlgorithm = hashes.SHA256()
    signature = headers.get("X-Postal-Signature-256")
    if not signature:
        algorithm, signature = hashes.SHA1(), headers.get("X-Postal-Signature")  # noqa: S303
    if not signature:
        raise BadSignature("unsigned", "The request has no signature, and this source checks them")
    try:
        _public_key(key).verify(base64.b64decode(signature, validate=True), body, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError) as problem:
        raise BadSignature("invalid_signature", "The signature is not that of the source's key") from problem
