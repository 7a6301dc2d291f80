"""Amazon SES: event publishing by SNS, with its envelope or raw.

docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from stats.intake import damaged_json
from stats.intake.sources.base import (
    BadKey,
    BadSignature,
    Event,
    Found,
    Ignored,
    RecordReader,
    Settings,
    Unreadable,
    digest,
    each_of,
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

# By event type: kind, the member with its own values, and the list of its recipients.
_KINDS = {
    "Send": ("incoming", "send", ""),
    "Delivery": ("sent", "delivery", "recipients"),
    "DeliveryDelay": ("deferred", "deliveryDelay", "delayedRecipients"),
    "Bounce": ("bounced", "bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complaint", "complainedRecipients"),
}
# Delays that are SES's own doing: no receiver was asked.
_OWN_DELAYS = {"InternalFailure", "SendingDeferral", "BYOIPHostNameLookupUnavailable"}
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SMTP = re.compile(r"^\s*smtp;\s*")
# Message tags may not hold a slash, and permalinks hold no underscore.
_TAG = re.compile(r"([a-z0-9-]+)_([a-z0-9-]+)", re.ASCII)


def reader(settings: Settings) -> RecordReader:
    """Return a reader of SES's events."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the outcomes of a notification: one event per recipient."""
    record = record_of(parsed)
    envelope = record.get("Type")
    if type(envelope) is str and "TopicArn" in record:
        if envelope != "Notification":
            # To be confirmed by the operator; nothing is fetched from where a message says.
            return [Ignored(index, envelope, detail=text(record.get("SubscribeURL"))[:2000])]
        try:
            record = record_of(damaged_json.loads(text(record.get("Message"))))
        except orjson.JSONDecodeError:
            return [Ignored(index, "Notification", detail=text(record.get("Message"))[:200])]
    word = text(record.get("eventType") or record.get("notificationType"))
    if not word:
        raise Unreadable("invalid_event", "A notification must have an eventType")
    if word not in _KINDS:
        return [Ignored(index, word)]
    kind, member, recipients = _KINDS[word]
    mail, own = mapping(record.get("mail")), mapping(record.get(member))
    if kind == "bounced" and own.get("bounceType") != "Permanent":
        return [Ignored(index, f"Bounce {text(own.get('bounceType'))}".strip())]
    if kind == "deferred" and own.get("delayType") in _OWN_DELAYS:
        return [Ignored(index, f"DeliveryDelay {own.get('delayType')}")]
    parties = own.get(recipients) if recipients else mail.get("destination")
    one = _Notification(index, word, kind, mail, own, record, settings)
    return [one.event(party) for party in each_of(parties)]


class _Notification:
    """A notification about one message, of which each recipient has an event."""

    def __init__(
        self,
        index: int,
        word: str,
        kind: str,
        mail: Mapping[str, Any],
        own: Mapping[str, Any],
        record: Mapping[str, Any],
        settings: Settings,
    ) -> None:
        self._index, self._word, self._kind, self._mail, self._own = index, word, kind, mail, own
        self._said_at = own.get("timestamp", mail.get("timestamp"))
        self._at = stamp(moment(self._said_at, "timestamp"))
        self._base = identifier(mail.get("messageId"), "mail.messageId")
        self._tags = mapping(mail.get("tags"))
        headers = {"headers": mail.get("headers")}
        self._tenant = tenant(settings, ("tags", "sluice-server"), mail, record, headers, _headers(mail))
        named = _TAG.fullmatch(self._tenant or "")
        self._server = f"{named[1]}/{named[2]}" if named else self._tenant

    def event(self, party: Any) -> Event:
        """Return the event of one recipient."""
        one = mapping(party)
        recipient = one.get("emailAddress") if one else party
        same = digest(self._word, recipient, self._said_at)
        fields = Fields(id=f"{self._base}-{same}", type=self._kind, at=self._at, server=self._server)
        fields.party("from", self._mail.get("source"))
        fields.party("to", recipient)
        if self._kind == "sent":
            if ip := _tag(self._tags, "ses:outgoing-ip"):
                fields.values["ip"] = ip
            fields.reply(self._own.get("smtpResponse"))
            millis = self._own.get("processingTimeMillis")
            if type(millis) is int and millis >= 0:
                fields.values["seconds"] = millis / 1000
        elif one and self._kind != "complaint":
            said = one.get("diagnosticCode")
            said = _SMTP.sub("", said) if type(said) is str else said
            fields.reply(said, enhanced=one.get("status"))
        domain = _tag(self._tags, "ses:from-domain")
        texts = [self._tenant or "", _tag(self._tags, "ses:configuration-set"), domain]
        return fields.event(self._index, texts=texts, domain=domain)


def _tag(tags: Mapping[str, Any], name: str) -> str:
    values = tags.get(name)
    return text(values[0]) if type(values) is list and values else text(values)


def _headers(mail: Mapping[str, Any]) -> dict[str, Any]:
    headers = mail.get("headers")
    return {
        text(each.get("name")): each.get("value")
        for each in (headers if type(headers) is list else [])
        if type(each) is dict
    }


def certificates(key: str) -> list[x509.Certificate]:
    """Return the certificates of PEM; raises BadKey."""
    try:
        return x509.load_pem_x509_certificates(key.encode())
    except ValueError as problem:
        raise BadKey("The key must be the certificate with which SNS signs, as PEM") from problem


def check_key(key: str) -> None:
    """Raise BadKey if the text is not a valid certificate."""
    if not all(isinstance(each.public_key(), rsa.RSAPublicKey) for each in certificates(key)):
        raise BadKey("The certificate must be of an RSA key")


def verify(body: bytes, headers: Mapping[str, str], key: str) -> None:
    """Check the signature of each SNS message in the body with the given certificates; raises BadSignature."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise BadSignature(
            "unsigned", "The request is not a message of SNS, and this source checks signatures"
        ) from problem
    messages = parsed if type(parsed) is list else [parsed]
    if not messages:
        raise BadSignature("unsigned", "The request has no message of SNS, and this source checks signatures")
    keys = [each.public_key() for each in certificates(key)]
    for message in messages:
        _verify(mapping(message), keys)


def _verify(message: Mapping[str, Any], keys: list[Any]) -> None:
    signature, kind = message.get("Signature"), message.get("Type")
    if type(signature) is not str or type(kind) is not str or kind not in _SIGNED:
        raise BadSignature("unsigned", "The message has no signature of SNS, and this source checks them")
    parts = []
    for name in _SIGNED[kind]:
        value = message.get(name)
        if type(value) is str:
            parts += [name, value]
        elif value is not None or name != "Subject":
            raise BadSignature("invalid_signature", f"The message of SNS has no {name}")
    signed = "".join(f"{part}\n" for part in parts).encode("utf-8", "surrogatepass")
    algorithm: hashes.HashAlgorithm = hashes.SHA256() if message.get("SignatureVersion") == "2" else hashes.SHA1()  # noqa: S303
    for each in keys:
        try:
            each.verify(base64.b64decode(signature, validate=True), signed, padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError):
            continue
        return
    raise BadSignature("invalid_signature", "The signature is not that of the source's certificate")
