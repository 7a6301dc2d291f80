"""The dialect's serializer fields: parsing, error sentence and schema of each."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.serializers import ValidationError

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


class PartlyValid(ValidationError):
    """What is wrong with a record or list, and what is right of it."""

    def __init__(self, detail: Any, value: Any) -> None:
        super().__init__(detail)
        self.value = value


class Entries:
    """The base of lists: an entry that is wrong keeps its place, for the paths of those behind it."""

    child: Any
    allow_empty: Any
    error_messages: Any
    # What stands for an entry of which nothing is right.
    nothing: ClassVar[object] = ""

    def run_validation(self, data: Any = empty) -> list[Any]:
        """Return the entries; raises PartlyValid."""
        if not isinstance(data, list):
            raise ValidationError("must be an array")
        if not data and not self.allow_empty:
            raise PartlyValid(self.error_messages["empty"], [])
        entries: list[Any] = []
        errors: dict[int, Any] = {}
        for index, each in enumerate(data):
            try:
                entries.append(self.child.run_validation(each))
            except ValidationError as refusal:
                entries.append(getattr(refusal, "value", self.nothing))
                errors[index] = refusal.detail
        if errors:
            # What is no record at all is told first.
            raise PartlyValid(dict(sorted(errors.items(), key=lambda error: isinstance(error[1], dict))), entries)
        return entries


class Described(serializers.Field[Any, Any, Any, Any]):
    """A field with schemas of its own: of a request and, where that is another one, of an answer."""

    request_schema: Schema
    response_schema: Schema | None = None

    def schema(self, direction: str) -> Schema:
        """Return the schema for a direction."""
        schema = (self.response_schema if direction == "response" else None) or self.request_schema
        if self.help_text:
            schema = {**schema, "description": str(self.help_text)}
        return nullable(schema) if self.allow_null else schema

    def run_validation(self, data: Any = empty) -> Any:
        """Return the value; a null that may be one is not looked at."""
        return None if data is None and self.allow_null else self.to_internal_value(data)

    def to_representation(self, value: Any) -> Any:
        return value


class Text(Described):
    """A string; `faults_of` returns what is wrong with it."""

    def __init__(
        self,
        request_schema: Schema = TEXT,
        response_schema: Schema | None = TEXT,
        *,
        faults_of: Callable[[str], list[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.request_schema, self.response_schema, self.faults_of = request_schema, response_schema, faults_of

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise ValidationError("is required" if data is None else "must be a string")
        if self.faults_of is not None and (found := self.faults_of(data)):
            raise ValidationError(found)
        return data


# A name of a template or program; the act checks it.
Name = partial(Text, NAME)
# A name of a VirtualMTA: ASCII without comma, pound and at-sign, no space at either end, and no integer.
MTAName = partial(Text, {**NAME, "pattern": r"^(?![+-]?[0-9]+$)(?! )[ !\"$-+\--?A-~]*[!\"$-+\--?A-~]$"})
IPv4 = partial(Text, {"type": "string", "format": "ipv4"}, None, faults_of=values.ipv4_faults)
HostName = partial(Text, HOSTNAME, faults_of=values.hostname_faults)
# A host name or an IPv4 address.
Destination = partial(Text, HOSTNAME, faults_of=destination_faults)


class Password(Text):
    """Written only: read back as null."""

    def schema(self, direction: str) -> Schema:
        if direction == "response":
            return {"type": "null", "description": "Never read back"}
        return {"type": ["string", "null"], "writeOnly": True, "description": 'null keeps it, "" takes it away'}

    def get_attribute(self, instance: Any) -> None:
        """Return nothing, whatever is stored."""


class Boolean(Described):
    request_schema = {"type": "boolean"}

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise ValidationError("must be true or false")
        return data


class Integer(Described):
    """A whole number between two bounds; booleans, floats and strings are none."""

    def __init__(self, lowest: int = 0, highest: int = HIGHEST_LIMIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lowest, self.highest = lowest, highest
        self.request_schema = {"type": "integer", "minimum": lowest, "maximum": highest}

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, int) or not self.lowest <= data <= self.highest:
            null = "null or " if self.allow_null else ""
            raise ValidationError(f"must be {null}an integer from {self.lowest} to {self.highest}")
        return data


class OverrideId(Integer):
    """The id of an override that is kept; anything else makes a new one."""

    def to_internal_value(self, data: object) -> Any:
        return whole_id(data)


Limit = partial(Integer, help_text="0 is unlimited")
# Of records and things, in answers.
Id = partial(Integer, 1, HIGHEST_ID)
Count = partial(serializers.IntegerField, min_value=0)


class Choice(Described):
    """One of some words."""

    def __init__(self, *words: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words
        self.request_schema = {"type": "string", "enum": list(words)}

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str) or data not in self.words:
            raise ValidationError("must be one of " + ", ".join(self.words))
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
            raise ValidationError(f"must be {'null or ' if self.allow_null else ''}an object")
        pk, name = data.get("id"), data.get("name")
        if pk is not None:
            if isinstance(pk, bool) or not isinstance(pk, int | str):
                raise ValidationError({"id": ["must be an integer"]})
            # What cannot be an id refers to nothing: 0 is nobody's.
            return Reference(whole_id(pk) or 0)
        if name is None:
            raise ValidationError("must have an id or a name")
        if not isinstance(name, str):
            raise ValidationError({"name": ["must be a string"]})
        return Reference(name=name)


class Domain(Text):
    """A recipient's domain, as it is compared."""

    # Returns the text as it goes on; raises NotADomain.
    normalized = staticmethod(domain_name)

    def to_internal_value(self, data: object) -> str:
        text = super().to_internal_value(data if data is not None else 0)
        try:
            return self.normalized(text)
        except NotADomain:
            raise ValidationError(f"{quoted(text)} is not a valid domain name") from None


class DomainPattern(Domain):
    """A domain, with `*.` for its subdomains or `[*.]` for both before it: kept as written, for the act's sentences."""

    def __init__(self) -> None:
        super().__init__({**TEXT, "examples": ["example.com", "*.example.com", "[*.]example.com"]}, None)

    @staticmethod
    def normalized(text: str) -> str:
        pattern(text)
        return text


class DomainList(Entries, serializers.ListField):
    """Recipients' domains: at least one."""

    child = Domain()
    default_error_messages = {"empty": "must contain at least one domain name"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty=False, min_length=1, **kwargs)

    def run_validation(self, data: Any = empty) -> list[Any]:
        if self.max_length is not None and isinstance(data, list) and len(data) > self.max_length:
            raise ValidationError(f"must not be given for more than {self.max_length} domains")
        return super().run_validation(data)


class Domains(DomainList):
    """The domains of a rule or override."""

    child = DomainPattern()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(help_text="`*.` is for all subdomains, `[*.]` for the domain and its subdomains", **kwargs)

    def to_representation(self, data: Any) -> list[str]:
        """Return the patterns of rows in their order."""
        return [domain.pattern for domain in data.all()]


class Portion(Described):
    request_schema = {"type": "number", "minimum": 0.0001, "maximum": HIGHEST_PORTION, "description": "A weight"}

    def to_internal_value(self, data: object) -> Decimal:
        """Return the weight as it is stored."""
        found = portion_of(data)
        if found is None:
            raise ValidationError(f"must be a number from {LOWEST_PORTION} to {HIGHEST_PORTION}")
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
        raise ValidationError(self.reason)
