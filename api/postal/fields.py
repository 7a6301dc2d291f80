"""The serializer fields of the dialect's parameters, with strict parsing and their OpenAPI schema.

null counts as absent, except for a flag, which has only its own words.
"""

import datetime
import re
import uuid
from abc import abstractmethod
from typing import Any, ClassVar

from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.fields import empty

from api import bodies
from api.openapi import Schema
from api.problems import Declined

# 64 bits need 19 digits and a sign.
_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_HIGHEST = 2**63 - 1
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
TEXT: Schema = {"type": "string"}
NOTHING = uuid.UUID(int=0)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Wrong(Exception):
    """The value is not one that the parameter takes."""


class Parameter(serializers.Field):
    """The base of all kinds. `missing` and `wrong` replace the page's sentences where the document has its own."""

    # How a sentence names the type ("must be a string").
    kind: ClassVar[str]

    def __init__(
        self, help_text: str, *, example: object = None, missing: str = "", wrong: str = "", **kwargs: Any
    ) -> None:
        kwargs.setdefault("required", False)
        super().__init__(help_text=help_text, **kwargs)
        self.example, self.missing, self.wrong = example, missing, wrong

    def bind(self, field_name: str, parent: Any) -> None:
        """Where the document has no sentence for this parameter, the page's counts. In OpenAPI the field is as in a body."""
        super().bind(field_name, parent)
        words = {"name": field_name, "kind": self.kind}
        self.missing = (self.missing or parent.missing).format_map(words)
        self.wrong = (self.wrong or parent.wrong).format_map(words)
        set_override(self, "field", self.in_body())

    def is_absent(self, raw: object) -> bool:
        """Whether this stands for a parameter that was not given."""
        return raw is empty or raw is None

    def absent_value(self) -> Any:
        """Return what a parameter that was not given stands for."""
        return None if self.default is empty else self.default

    @abstractmethod
    def to_internal_value(self, raw: object) -> Any:
        """Return the value; raises Wrong."""

    @abstractmethod
    def value_schema(self) -> Schema:
        """Return the JSON Schema of a value."""

    def in_body(self) -> Schema:
        """Return the JSON Schema of a value in JSON, where null counts as absent."""
        schema = self.value_schema()
        if self.required:
            # Blank text counts as absent, so that what is required has more.
            is_text = schema.get("type") == "string" and not {"enum", "pattern"} & schema.keys()
            return {**schema, "pattern": r"\S"} if is_text else schema
        if "anyOf" in schema:
            return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
        null: Schema = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, "type": [schema["type"], "null"], **null}

    def in_query(self) -> Schema:
        """Return the JSON Schema of a value in a query string."""
        schema = self.in_body() if self.required else self.value_schema()
        return schema if self.absent_value() is None else {**schema, "default": self.default}


class Text(Parameter):
    """A string; one of blanks only counts as absent."""

    kind = "a string"

    def is_absent(self, raw: object) -> bool:
        return raw is empty or raw is None or (isinstance(raw, str) and not raw.strip())

    def to_internal_value(self, raw: object) -> Any:
        if not isinstance(raw, str):
            raise Wrong
        return raw

    def value_schema(self) -> Schema:
        return TEXT


class Identifier(Text):
    """A UUID. Any other text names nothing, which the nil UUID stands for: so it is looked up like one that is unknown."""

    def to_internal_value(self, raw: object) -> uuid.UUID:
        if not isinstance(raw, str):
            raise Wrong
        return uuid.UUID(raw) if _UUID.fullmatch(raw) else NOTHING


class Choice(Text):
    """One of some words, exactly as they are written."""

    def __init__(self, help_text: str, *, choices: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(help_text, **kwargs)
        self.choices = choices

    def to_internal_value(self, raw: object) -> str:
        if not isinstance(raw, str) or raw not in self.choices:
            raise Wrong
        return raw

    def value_schema(self) -> Schema:
        return {"type": "string", "enum": list(self.choices)}


class Flag(Parameter):
    """true or false, also as the words `true false 1 0` in any case."""

    kind = "a boolean"

    def is_absent(self, raw: object) -> bool:
        return raw is empty

    def to_internal_value(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        # JSON's 1 and 0 are the same words without quotes; 1.0 is another type.
        word = str(raw) if isinstance(raw, int) else raw
        if not isinstance(word, str) or word.lower() not in _FLAGS:
            raise Wrong
        return _FLAGS[word.lower()]

    def value_schema(self) -> Schema:
        words = {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|1|0)$"}
        return {"anyOf": [{"type": "boolean"}, words, {"type": "integer", "enum": [0, 1]}]}

    def in_body(self) -> Schema:
        return self.value_schema()

    def in_query(self) -> Schema:
        # A query string has words only.
        words: Schema = self.value_schema()["anyOf"][1]
        return words if self.default is empty else {**words, "default": str(self.default).lower()}


class Whole(Parameter):
    """An integer, also as a string of digits."""

    kind = "an integer"

    def __init__(self, help_text: str, *, least: int = -_HIGHEST, most: int = _HIGHEST, **kwargs: Any) -> None:
        super().__init__(help_text, **kwargs)
        self.least, self.most = least, most

    def to_internal_value(self, raw: object) -> int:
        if isinstance(raw, str) and _WHOLE.fullmatch(raw):
            raw = int(raw)
        # bool is an int in Python, not in JSON; beyond 64 bits there are no ids, and no JSON to answer with.
        if not isinstance(raw, int) or isinstance(raw, bool) or not self.least <= raw <= self.most:
            raise Wrong
        return raw

    def value_schema(self) -> Schema:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [number, {"type": "string", "pattern": "^-?[0-9]{1,19}$"}]}


class Moment(Parameter):
    """A date or time in ISO 8601; without a zone it is UTC, and a date is its midnight."""

    kind = "a date in ISO 8601"

    def is_absent(self, raw: object) -> bool:
        return raw is empty or raw is None or raw == ""

    def to_internal_value(self, raw: object) -> datetime.datetime:
        # fromisoformat takes far more than a caller can mean: week dates, any letter between date and time.
        if not isinstance(raw, str) or not _MOMENT.fullmatch(raw):
            raise Wrong
        try:
            at = datetime.datetime.fromisoformat(raw.upper())
            return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            # The 30th of February; an offset that leads out of the calendar.
            raise Wrong from None

    def value_schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_MOMENT.pattern}$"}


class Items(Parameter):
    """An array; what its entries may be is the act's matter."""

    kind = "an array"

    def to_internal_value(self, raw: object) -> list[Any]:
        if not isinstance(raw, list) or not raw:
            raise Wrong
        return raw

    def value_schema(self) -> Schema:
        return {"type": "array", "items": {}, "minItems": 1}


class Names(Text):
    """An array of strings, also as JSON text."""

    kind = "an array of strings"

    def __init__(self, help_text: str, *, each: Schema = TEXT, **kwargs: Any) -> None:
        super().__init__(help_text, **kwargs)
        self.each = each

    def to_internal_value(self, raw: object) -> list[str]:
        if isinstance(raw, str):
            try:
                raw = bodies.parse_json(raw)
            except Declined:
                raise Wrong from None
        if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
            raise Wrong
        return raw

    def value_schema(self) -> Schema:
        names = {"type": "array", "items": self.each}
        text = {"type": "string", "pattern": r"^\s*\[", "description": "The same array, as JSON text"}
        return {"anyOf": [names, text]}

    def in_query(self) -> Schema:
        # A query string cannot say an empty array: it says nothing then.
        schema = super().in_query()
        if not self.required:
            return schema
        array, *others = schema["anyOf"]
        return {**schema, "anyOf": [{**array, "minItems": 1}, *others]}
