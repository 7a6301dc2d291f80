"""What an endpoint takes: each parameter declared once, read without trust, and described to OpenAPI from the same words.

null counts as absent, except for a flag, which has only its own words. A parameter that nobody declared is ignored.
"""

import datetime
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from api import bodies
from api.postal.pages import Page
from api.problems import Code, Declined, decline

# 64 bits need 19 digits and a sign.
_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_HIGHEST = 2**63 - 1
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
NOTHING = uuid.UUID(int=0)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class _Wrong(Exception):
    """The value is not one that the parameter takes."""


_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """The base of all kinds. `missing` and `wrong` replace the page's sentences where the document has its own."""

    kind: ClassVar[str]

    name: str
    description: str
    _: KW_ONLY
    required: bool = False
    default: Any = None
    example: Any = None
    missing: str = ""
    wrong: str = ""

    def is_absent(self, raw: object) -> bool:
        """Whether this stands for a parameter that was not given."""
        return raw is _ABSENT or raw is None

    @abstractmethod
    def value_of(self, raw: object) -> Any:
        """Return the value; raises where it is none."""

    @abstractmethod
    def schema(self) -> dict[str, object]:
        """Return what OpenAPI says of the value."""


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """A string; one of blanks only is as good as none."""

    kind: ClassVar[str] = "a string"

    def is_absent(self, raw: object) -> bool:
        return raw is _ABSENT or raw is None or (isinstance(raw, str) and not raw.strip())

    def value_of(self, raw: object) -> Any:
        if not isinstance(raw, str):
            raise _Wrong
        return raw

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Identifier(Text):
    """A UUID. Any other text names nothing, which the nil UUID stands for: so it is looked up like one that is unknown."""

    def value_of(self, raw: object) -> uuid.UUID:
        if not isinstance(raw, str):
            raise _Wrong
        return uuid.UUID(raw) if _UUID.fullmatch(raw) else NOTHING


@dataclass(frozen=True, slots=True)
class Choice(Text):
    """One of some words, exactly as they are written."""

    choices: tuple[str, ...] = ()

    def value_of(self, raw: object) -> str:
        if not isinstance(raw, str) or raw not in self.choices:
            raise _Wrong
        return raw

    def schema(self) -> dict[str, object]:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True, slots=True)
class Flag(Parameter):
    """true or false, also as the words `true false 1 0` in any case."""

    kind: ClassVar[str] = "a boolean"

    def is_absent(self, raw: object) -> bool:
        return raw is _ABSENT

    def value_of(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        # JSON's 1 and 0 are the same words without quotes; 1.0 is another type.
        word = str(raw) if isinstance(raw, int) else raw
        if not isinstance(word, str) or word.lower() not in _FLAGS:
            raise _Wrong
        return _FLAGS[word.lower()]

    def schema(self) -> dict[str, object]:
        words = {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|1|0)$"}
        return {"anyOf": [{"type": "boolean"}, words, {"type": "integer", "enum": [0, 1]}]}


@dataclass(frozen=True, slots=True)
class Whole(Parameter):
    """An integer, also as a string of digits."""

    kind: ClassVar[str] = "an integer"

    least: int | None = None
    most: int | None = None

    def value_of(self, raw: object) -> int:
        if isinstance(raw, str) and _WHOLE.fullmatch(raw):
            raw = int(raw)
        # bool is an int in Python, not in JSON; beyond 64 bits there are no ids, and no JSON to answer with.
        if not isinstance(raw, int) or isinstance(raw, bool) or not -_HIGHEST <= raw <= _HIGHEST:
            raise _Wrong
        if (self.least is not None and raw < self.least) or (self.most is not None and raw > self.most):
            raise _Wrong
        return raw

    def schema(self) -> dict[str, object]:
        number = {
            "type": "integer",
            "minimum": -_HIGHEST if self.least is None else self.least,
            "maximum": _HIGHEST if self.most is None else self.most,
        }
        return {"anyOf": [number, {"type": "string", "pattern": "^-?[0-9]{1,19}$"}]}


@dataclass(frozen=True, slots=True)
class Moment(Parameter):
    """A date or time in ISO 8601; without a zone it is UTC, and a date is its midnight."""

    kind: ClassVar[str] = "a date in ISO 8601"

    def is_absent(self, raw: object) -> bool:
        return raw is _ABSENT or raw is None or raw == ""

    def value_of(self, raw: object) -> datetime.datetime:
        # fromisoformat takes far more than a caller can mean: week dates, any letter between date and time.
        if not isinstance(raw, str) or not _MOMENT.fullmatch(raw):
            raise _Wrong
        try:
            at = datetime.datetime.fromisoformat(raw.upper())
            return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            # The 30th of February; an offset that leads out of the calendar.
            raise _Wrong from None

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^{_MOMENT.pattern}$"}


@dataclass(frozen=True, slots=True)
class Items(Parameter):
    """An array; what its entries may be is the act's matter."""

    kind: ClassVar[str] = "an array"

    def value_of(self, raw: object) -> list[Any]:
        if not isinstance(raw, list) or not raw:
            raise _Wrong
        return raw

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": {}, "minItems": 1}


@dataclass(frozen=True, slots=True)
class Names(Parameter):
    """An array of strings, also as JSON text."""

    kind: ClassVar[str] = "an array of strings"

    def is_absent(self, raw: object) -> bool:
        return raw is _ABSENT or raw is None or (isinstance(raw, str) and not raw.strip())

    def value_of(self, raw: object) -> list[str]:
        if isinstance(raw, str):
            try:
                raw = bodies.parse_json(raw)
            except Declined:
                raise _Wrong from None
        if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
            raise _Wrong
        return raw

    def schema(self) -> dict[str, object]:
        names = {"type": "array", "items": {"type": "string"}}
        return {"anyOf": [names, {"type": "string", "description": "The same array, as JSON text"}]}


def read(parameters: Iterable[Parameter], raw: Mapping[str, object], page: Page) -> dict[str, Any]:
    """Return the value of every parameter, by name; declines with the first fault, what is missing before what is wrong."""
    given = [(each, raw.get(each.name, _ABSENT)) for each in parameters]
    values: dict[str, Any] = {}
    for each, value in given:
        if each.is_absent(value):
            if each.required:
                raise _fault(each, each.missing or page.missing)
            values[each.name] = each.default
    for each, value in given:
        if each.name not in values:
            try:
                values[each.name] = each.value_of(value)
            except _Wrong:
                raise _fault(each, each.wrong or page.wrong) from None
    return values


def sentences(parameters: Iterable[Parameter], page: Page) -> list[str]:
    """Return every sentence that `read` may decline with, each once."""
    found = {}
    for each in parameters:
        if each.required:
            found[(each.missing or page.missing).format(name=each.name, kind=each.kind)] = True
        found[(each.wrong or page.wrong).format(name=each.name, kind=each.kind)] = True
    return list(found)


def _fault(parameter: Parameter, sentence: str) -> Declined:
    return decline(Code.MALFORMED, sentence.format(name=parameter.name, kind=parameter.kind))
