"""SendGrid: the event webhook, a JSON array. docs.sendgrid.com/for-developers/tracking-events/event."""

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from stats.intake.sources import public_keys
from stats.intake.sources.base import (
    BadKey,
    BadSignature,
    Found,
    Ignored,
    RecordReader,
    Settings,
    Unreadable,
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
    "processed": "incoming",
    "deferred": "deferred",
    "delivered": "sent",
    "bounce": "bounced",
    "dropped": "bounced",
    "spamreport": "complaint",
}
# Of an open or a click `ip` is the reader's.
_WITH_ADDRESS = {"deferred", "delivered", "bounce"}


def reader(settings: Settings) -> RecordReader:
    """Return a reader of the event webhook."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the outcomes of a SendGrid event."""
    record = record_of(parsed)
    word = text(record.get("event"))
    kind = _KINDS.get(word)
    if kind is None:
        if not word:
            raise Unreadable("invalid_event", "A record must have an event")
        return [Ignored(index, word)]
    fields = Fields(
        id=identifier(record.get("sg_event_id"), "sg_event_id"),
        type=kind,
        at=stamp(moment(record.get("timestamp"), "timestamp")),
        server=tenant(settings, ("sluice_server",), record),
    )
    if word in _WITH_ADDRESS and (ip := text(record.get("ip"))):
        fields.values["ip"] = ip
    fields.party("to", record.get("email"))
    if kind not in {"incoming", "complaint"}:
        fields.reply(record.get("response", record.get("reason")), enhanced=record.get("status"))
    if word == "deferred":
        fields.number("attempt", record.get("attempt"), least=1)
    categories = record.get("category")
    pool = mapping(record.get("pool")).get("name")
    texts = [*(categories if type(categories) is list else [categories]), pool, record.get("marketing_campaign_name")]
    return [fields.event(index, texts=[each for each in texts if type(each) is str])]


def _public_key(key: str) -> ec.EllipticCurvePublicKey:
    found = public_keys.load(key, "SendGrid's verification key")
    if not isinstance(found, ec.EllipticCurvePublicKey):
        raise BadKey("The key must be an ECDSA public key")
    return found


def check_key(key: str) -> None:
    """Raise BadKey if the text is not a valid key."""
    _public_key(key)


def verify(body: bytes, headers: Mapping[str, str], key: str) -> None:
    """Check the signature of the time and the body as they were sent; raises BadSignature."""
    signature = headers.get("X-Twilio-Email-Event-Webhook-Signature")
    at = headers.get("X-Twilio-Email-Event-Webhook-Timestamp")
    if not signature or not at:
        raise BadSignature("unsigned", "The request has no signature, and this source checks them")
    try:
        signed = at.encode("ascii", "strict") + body
        _public_key(key).verify(base64.b64decode(signature, validate=True), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as problem:
        raise BadSignature("invalid_signature", "The signature is not that of the source's key") from problem
