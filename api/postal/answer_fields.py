"""The serializer fields of the dialect's responses: format and JSON Schema of each value."""

import datetime
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import Any

from drf_spectacular.drainage import set_override
from rest_framework.fields import CharField, DictField, Field, FloatField, IntegerField, ListField

from api.openapi import Schema, strict_object
from api.postal.parameters import MODES
from core.encryption import decrypt
from servers.domains import verification_string
from servers.models import Domain
from suppressions.models import Suppression
from webhooks.models import Delivery

STATUSES = {None: None, "ok": "OK", "missing": "Missing", "invalid": "Invalid"}
_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
_TIMESTAMP: Schema = {"type": "string", "format": "date-time", "pattern": _TIME + r"\.\d{3}Z$"}
_STATUS: Schema = {"type": ["string", "null"], "enum": ["OK", "Missing", "Invalid", None]}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def timestamp(at: datetime.datetime, timespec: str = "milliseconds") -> str:
    """Return a time in UTC, as `created_at` has it; statistics have whole seconds."""
    # Nearly all are in UTC: lists write hundreds.
    in_utc = at if at.tzinfo is datetime.UTC else at.astimezone(datetime.UTC)
    # Without the "+00:00".
    return f"{in_utc.isoformat(timespec=timespec)[:-6]}Z"


def exploded(ipv6: str | None) -> str | None:
    """Return an IPv6 address written out in full. Postal: as the page has it."""
    return None if ipv6 is None else IPv6Address(ipv6).exploded


def _source_event(suppression: Suppression) -> dict[str, str] | None:
    """Return the event that suppressed an address; None where no event did."""
    at = suppression.event_at
    return None if at is None else {"id": suppression.event_id, "at": timestamp(at)}


class Written(Field):
    """A value that a function writes, and its JSON Schema. What is None is written as null, without the function."""

    def __init__(self, schema: Schema, write: Callable[[Any], object], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.write = write
        set_override(self, "field", schema)

    def to_representation(self, value: Any) -> object:
        return self.write(value)


class Check(Written):
    """What the check of this name found on a domain; the error says what to change.

    `warning` is there only where a record is accepted and a person should know something of it.
    """

    def __init__(self) -> None:
        schema = strict_object(status=_STATUS, error=_TEXT_OR_NULL)
        schema["properties"]["warning"] = {"type": "string"}
        super().__init__(schema, self._found, source="*")

    def _found(self, domain: Domain) -> dict[str, str | None]:
        warning = (domain.dns_answers.get(self.field_name) or {}).get("warning")
        return {
            "status": STATUSES[getattr(domain, f"{self.field_name}_status")],
            "error": getattr(domain, f"{self.field_name}_error") or None,
            **({"warning": warning} if warning else {}),
        }


class Texts(ListField):
    child = CharField()


Count = partial(IntegerField, min_value=0)
Rate = partial(FloatField, min_value=0)


class CountsByName(DictField):
    child = Count()


Timestamp = partial(Written, _TIMESTAMP, timestamp)
OptionalTimestamp = partial(Written, {**_TIMESTAMP, "type": ["string", "null"]}, timestamp)
WholeSeconds = partial(Written, {**_TIMESTAMP, "pattern": _TIME + "Z$"}, partial(timestamp, timespec="seconds"))
Mode = partial(Written, {"type": "string", "enum": [*MODES.values()]}, MODES.__getitem__)
Status = partial(Written, _STATUS, STATUSES.__getitem__)
IPv6 = partial(Written, _TEXT_OR_NULL, exploded)
DeliveryState = partial(
    Written, {"type": "string", "enum": [*Delivery.State.labels]}, lambda state: str(Delivery.State(state).label)
)

# Of a whole record.
VerificationMethod = partial(Written, {"type": "string", "const": "DNS"}, lambda domain: "DNS", source="*")
# The text of the TXT record that proves a domain.
VerificationString = partial(Written, {"type": "string"}, verification_string, source="*")
# The address of a suppression, where its organization keeps it.
ClearAddress = partial(
    Written,
    _TEXT_OR_NULL,
    lambda suppression: decrypt(suppression.address) if suppression.address else None,
    source="*",
)
SourceEvent = partial(
    Written,
    {**strict_object(id={"type": "string"}, at=_TIMESTAMP), "type": ["object", "null"]},
    _source_event,
    source="*",
)
