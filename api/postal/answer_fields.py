"""The serializer fields of the dialect's responses: format and JSON Schema of each value."""

import datetime
from functools import partial
from ipaddress import IPv6Address
from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework.fields import CharField, DictField, Field, FloatField, IntegerField, ListField

from api.openapi import Schema
from api.postal.parameters import MODES
from core.encryption import decrypt
from servers.domains import verification_string
from servers.models import Domain
from suppressions.models import Suppression
from webhooks.models import Delivery as DeliveryRow

STATUSES = {None: None, "ok": "OK", "missing": "Missing", "invalid": "Invalid"}
_STATUS: Schema = {"type": ["string", "null"], "enum": ["OK", "Missing", "Invalid", None]}


def timestamp(at: datetime.datetime) -> str:
    """Return a time in UTC with milliseconds, as `created_at` has it."""
    return at.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def exploded(ipv6: str | None) -> str | None:
    """Return an IPv6 address written out in full. Postal: as the page has it."""
    return None if ipv6 is None else IPv6Address(ipv6).exploded


class Written(Field):
    """The base of all kinds; itself, a value that is JSON already."""

    schema: ClassVar[Schema]

    def to_representation(self, value: Any) -> Any:
        return value


class _WrittenExtension(OpenApiSerializerFieldExtension):
    target_class = Written
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> Schema:
        """What the field says of itself."""
        return self.target.schema


class Timestamp(Written):
    schema = {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
    }

    def to_representation(self, value: datetime.datetime) -> str:
        return timestamp(value)


class OptionalTimestamp(Timestamp):
    """A time that may not have come, or that is not known: null."""

    schema = {**Timestamp.schema, "type": ["string", "null"]}


class DeliveryState(Written):
    schema = {"type": "string", "enum": [*DeliveryRow.State.labels]}

    def to_representation(self, value: str) -> str:
        return str(DeliveryRow.State(value).label)


class WholeSeconds(Written):
    """A time in UTC without milliseconds, as statistics have it."""

    schema = {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
    }

    def to_representation(self, value: datetime.datetime) -> str:
        return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class Mode(Written):
    schema = {"type": "string", "enum": ["Live", "Development"]}

    def to_representation(self, value: str) -> str:
        return MODES[value]


class Status(Written):
    """What a check of a domain's records found."""

    schema = _STATUS

    def to_representation(self, value: str) -> str | None:
        return STATUSES[value]


class OfRecord(Written):
    """Written from the whole record."""

    def __init__(self) -> None:
        super().__init__(source="*")


class Check(OfRecord):
    """What the check of this name found on a domain; the error says what to change.

    `warning` is there only where a record is accepted and a person should know something of it.
    """

    schema = {
        "type": "object",
        "properties": {"status": _STATUS, "error": {"type": ["string", "null"]}, "warning": {"type": "string"}},
        "required": ["status", "error"],
        "additionalProperties": False,
    }

    def to_representation(self, value: Domain) -> dict[str, str | None]:
        warning = (value.dns_answers.get(self.field_name) or {}).get("warning")
        return {
            "status": STATUSES[getattr(value, f"{self.field_name}_status")],
            "error": getattr(value, f"{self.field_name}_error") or None,
            **({"warning": warning} if warning else {}),
        }


class ClearAddress(OfRecord):
    """The address of a suppression, where its organization keeps it."""

    schema = {"type": ["string", "null"]}

    def to_representation(self, value: Suppression) -> str | None:
        return decrypt(value.address) if value.address else None


class SourceEvent(OfRecord):
    """The event that suppressed an address; null: no event did."""

    schema = {
        "type": ["object", "null"],
        "properties": {"id": {"type": "string"}, "at": Timestamp.schema},
        "required": ["id", "at"],
        "additionalProperties": False,
    }

    def to_representation(self, value: Suppression) -> dict[str, str] | None:
        return None if value.event_at is None else {"id": value.event_id, "at": timestamp(value.event_at)}


class IPv6(Written):
    schema = {"type": ["string", "null"]}

    def to_representation(self, value: str) -> str | None:
        return exploded(value)


Count = partial(IntegerField, min_value=0)
Rate = partial(FloatField, min_value=0)


class Texts(ListField):
    child = CharField()


class CountsByName(DictField):
    child = Count()


class VerificationMethod(OfRecord):
    schema = {"type": "string", "const": "DNS"}

    def to_representation(self, value: Domain) -> str:
        return "DNS"


class VerificationString(OfRecord):
    """The text of the TXT record that proves a domain."""

    schema = {"type": "string"}

    def to_representation(self, value: Domain) -> str:
        return verification_string(value)
