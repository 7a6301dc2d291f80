"""The dialect's serializer fields: parsing, error sentence and schema of each."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from api.openapi import Schema
from core.references import HIGHEST_ID, Reference, whole_id
from core.texts import quoted
from ippools import values
from ippools.relay_servers import destination_faults
from ippools.routing_rules import HIGHEST_PORTION, LOWEST_PORTION, portion_of
from throttling.domains import NotADomain, domain_name, pattern
from throttling.models.rule_set import HIGHEST_LIMIT

NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOSTNAME: Schema = {**NAME, "pattern": rf"^{_LABEL}(\.{_LABEL})*$"}


def nullable(schema: Schema) -> Schema:
    """Return the same, or null."""
    return {"anyOf": [schema, NULL]}


class Described(serializers.Field[Any, Any, Any, Any]):
    """A field with schemas of its own: of a request and, where that is another one, of an answer."""

    request_schema: Schema
    response_schema: Schema | None = None

    def schema(self, direction: str) -> Schema:
        """Return the schema for a direction."""
        schema = (
            self.response_schema
            if direction == "response" and self.response_schema is not None
            else self.request_schema
        )
        if self.help_text:
            schema = {**schema, "description": str(self.help_text)}
        return nullable(schema) if self.allow_null else schema

    def to_representation(self, value: Any) -> Any:
        """Return the value itself."""
        return value


class Text(Described):
    """A string."""

    request_schema = TEXT

    def faults_of(self, text: str) -> list[str]:
        """Return what is wrong with the text."""
        return []

    def to_internal_value(self, data: object) -> str:
        """Return the string."""
        if not isinstance(data, str):
            raise serializers.ValidationError("is required" if data is None else "must be a string")
        if found := self.faults_of(data):
            raise serializers.ValidationError(found)
        return data


class Name(Text):
    """A name of a template or program; the act judges it."""

    request_schema, response_schema = NAME, TEXT


class MTAName(Text):
    """A name of a VirtualMTA: ASCII without comma, pound and at-sign, no space at either end, and no integer."""

    request_schema = {**NAME, "pattern": r"^(?![+-]?[0-9]+$)(?! )[ !\"$-+\--?A-~]*[!\"$-+\--?A-~]$"}
    response_schema = TEXT


class IPv4(Text):
    """A dotted-decimal IPv4 address."""

    request_schema = {"type": "string", "format": "ipv4"}

    def faults_of(self, text: str) -> list[str]:
        """Return what is wrong with the text."""
        return values.ipv4_faults(text)


class HostName(Text):
    """The name for HELO."""

    request_schema, response_schema = HOSTNAME, TEXT

    def faults_of(self, text: str) -> list[str]:
        """Return what is wrong with the text."""
        return values.hostname_faults(text)


class Destination(Text):
    """A host name or an IPv4 address."""

    request_schema, response_schema = HOSTNAME, TEXT

    def faults_of(self, text: str) -> list[str]:
        """Return what is wrong with the text."""
        return destination_faults(text)


class Password(Text):
    """Written only: read back as null."""

    request_schema = {"type": ["string", "null"], "writeOnly": True, "description": 'null keeps it, "" takes it away'}
    response_schema = {"type": "null", "description": "Never read back"}

    def schema(self, direction: str) -> Schema:
        """Return the schema, which has null already."""
        return self.response_schema if direction == "response" else self.request_schema

    def get_attribute(self, instance: Any) -> None:
        """Return nothing, whatever is stored."""

    def to_internal_value(self, data: object) -> str:
        """Return the string."""
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a string")
        return data


class Boolean(Described):
    """true or false."""

    request_schema = {"type": "boolean"}

    def to_internal_value(self, data: object) -> bool:
        """Return the value."""
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false")
        return data


class Integer(Described):
    """A whole number between two bounds; booleans, floats and strings are none."""

    def __init__(self, lowest: int = 0, highest: int = HIGHEST_LIMIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lowest, self.highest = lowest, highest
        self.request_schema = {"type": "integer", "minimum": lowest, "maximum": highest}

    def to_internal_value(self, data: object) -> int:
        """Return the number."""
        if isinstance(data, bool) or not isinstance(data, int) or not self.lowest <= data <= self.highest:
            null = "null or " if self.allow_null else ""
            raise serializers.ValidationError(f"must be {null}an integer from {self.lowest} to {self.highest}")
        return data


class Limit(Integer):
    """A limit, where 0 is unlimited."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(help_text="0 is unlimited", **kwargs)


class Id(Integer):
    """A record's id, in answers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(1, HIGHEST_ID, **kwargs)


class OverrideId(Id):
    """The id of an override that is kept; anything else makes a new one."""

    def schema(self, direction: str) -> Schema:
        """Return the schema of an id."""
        return self.request_schema

    def to_internal_value(self, data: object) -> Any:
        """Return the id, or None."""
        return whole_id(data)


class Count(Integer):
    """A number of things, in answers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_schema = {"type": "integer", "minimum": 0}


class Choice(Described):
    """One of some words."""

    def __init__(self, *words: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words
        self.request_schema = {"type": "string", "enum": list(words)}

    def to_internal_value(self, data: object) -> str:
        """Return the word."""
        if not isinstance(data, str) or data not in self.words:
            raise serializers.ValidationError("must be one of " + ", ".join(self.words))
        return data


class ByReference(Described):
    """A record by id or by name: the id wins, a null id counts as absent, and names know no case."""

    request_schema = {
        "type": "object",
        "properties": {"id": {"type": ["integer", "string", "null"]}, "name": {"type": ["string", "null"]}},
        "anyOf": [
            {"properties": {"id": {"type": ["integer", "string"]}}, "required": ["id"]},
            {"properties": {"name": {"type": "string"}}, "required": ["name"]},
        ],
        "description": "By id or by name, whatever its case; the id wins, and a null id counts as absent",
    }

    def to_internal_value(self, data: object) -> Reference:
        """Return the reference; whether there is such a record is for the act to say."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(f"must be {'null or ' if self.allow_null else ''}an object")
        pk, name = data.get("id"), data.get("name")
        if pk is not None:
            if isinstance(pk, bool) or not isinstance(pk, int | str):
                raise serializers.ValidationError({"id": ["must be an integer"]})
            # What cannot be an id refers to nothing: 0 is nobody's.
            return Reference(whole_id(pk) or 0)
        if name is None:
            raise serializers.ValidationError("must have an id or a name")
        if not isinstance(name, str):
            raise serializers.ValidationError({"name": ["must be a string"]})
        return Reference(name=name)


class DomainPattern(Text):
    """A domain, with `*.` for its subdomains or `[*.]` for both before it: kept as written, for the act's sentences."""

    request_schema = {**TEXT, "examples": ["example.com", "*.example.com", "[*.]example.com"]}

    def to_internal_value(self, data: object) -> str:
        """Return the text."""
        text = super().to_internal_value(data if data is not None else 0)
        try:
            pattern(text)
        except NotADomain:
            raise serializers.ValidationError(f"{quoted(text)} is not a valid domain name") from None
        return text


class Domain(Text):
    """A recipient's domain, as it is compared."""

    def to_internal_value(self, data: object) -> str:
        """Return the domain as limits compare it."""
        text = super().to_internal_value(data if data is not None else 0)
        try:
            return domain_name(text)
        except NotADomain:
            raise serializers.ValidationError(f"{quoted(text)} is not a valid domain name") from None


class Domains(serializers.ListField):
    """The domains of a rule or override: at least one."""

    child = DomainPattern()
    default_error_messages = {"empty": "must contain at least one domain name"}

    def __init__(self, **kwargs: Any) -> None:
        text = "`*.` is for all subdomains, `[*.]` for the domain and its subdomains"
        super().__init__(allow_empty=False, min_length=1, help_text=text, **kwargs)


class Portion(Described):
    """A weight."""

    request_schema = {"type": "number", "minimum": 0.0001, "maximum": HIGHEST_PORTION, "description": "A weight"}

    def to_internal_value(self, data: object) -> Decimal:
        """Return the weight as it is stored."""
        found = portion_of(data)
        if found is None:
            raise serializers.ValidationError(f"must be a number from {LOWEST_PORTION} to {HIGHEST_PORTION}")
        return found

    def to_representation(self, value: Decimal) -> int | float:
        """Return an integer where it is one."""
        return int(value) if value == value.to_integral_value() else float(value)


class Refused(Described):
    """What a request may not have, whatever it holds."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(required=False)
        self.reason = reason
        self.request_schema = {"not": {}, "description": description}

    def to_internal_value(self, data: object) -> Any:
        """Refuse it."""
        raise serializers.ValidationError(self.reason)
