"""Untrusted values of one record, read attribute by attribute.

Every act that takes a record from outside, by whichever door, reads it so: nothing is assumed about types, and everything
that is wrong is gathered before anything is refused.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal

from core.errors import Fault, Invalid

_SHOWN = 100


class Absent(Enum):
    """The type of ABSENT: nothing was given (on an update: leave as it is), or what was given is faulty."""

    ABSENT = "absent"

    def __bool__(self) -> Literal[False]:
        """Nothing is falsy."""
        return False


ABSENT: Final = Absent.ABSENT


def quoted(text: str) -> str:
    """Return untrusted text in quotes, fit for a sentence: short, and encodable."""
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return '"' + shown.encode("utf-8", "replace").decode() + '"'


def only_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without those that are ABSENT."""
    return {name: value for name, value in values.items() if value is not ABSENT}


class Attributes:
    """The values given for one record or for a part of it.

    Each reader returns the value, or ABSENT where there is none or a fault was found. With `is_partial` nothing is required:
    what is absent stays as it is.
    """

    def __init__(self, values: Mapping[str, Any], *, is_partial: bool = False) -> None:
        self.values = values
        self.path = ""
        self.is_partial = is_partial
        self.faults: list[Fault] = []

    def fault(self, name: str, message: str) -> Absent:
        """Gather a fault of the attribute (of the record itself where the name is empty) and return ABSENT."""
        return self.fault_at(self.path_of(name), message)

    def fault_at(self, path: str, message: str) -> Absent:
        """Gather a fault of what stands at this path of the whole record."""
        self.faults.append(Fault(path, message))
        return ABSENT

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path and name else self.path or name

    def refuse_if_faulty(self) -> None:
        """Raise Invalid with every fault found so far, if any."""
        if self.faults:
            raise Invalid(*self.faults)

    def has(self, name: str) -> bool:
        return name in self.values

    def value(self, name: str, *, is_required: bool = True) -> Any:
        """Return what was given, of any type."""
        if name in self.values:
            return self.values[name]
        return self.fault(name, "is required") if is_required and not self.is_partial else ABSENT

    def text(
        self, name: str, *, is_required: bool = True, is_nullable: bool = False, longest: int | None = None
    ) -> Any:
        """Return a string that every database can hold: no NUL, no lone surrogate."""
        value = self.value(name, is_required=is_required)
        if value is ABSENT or (value is None and is_nullable):
            return value
        if value is None:
            return self.fault(name, "is required")
        if not isinstance(value, str):
            return self.fault(name, "must be a string")
        if not is_storable(value):
            return self.fault(name, "must not contain control characters")
        if longest is not None and len(value) > longest:
            return self.fault(name, f"must be at most {longest} characters in length")
        return value

    def integer(
        self, name: str, *, lowest: int, highest: int, is_required: bool = True, is_nullable: bool = False
    ) -> Any:
        """Return a whole number; booleans, floats and strings are none."""
        value = self.value(name, is_required=is_required)
        if value is ABSENT or (value is None and is_nullable):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            null = "null or " if is_nullable else ""
            return self.fault(name, f"must be {null}an integer from {lowest} to {highest}")
        return value

    def boolean(self, name: str, *, is_required: bool = True) -> Any:
        value = self.value(name, is_required=is_required)
        if value is ABSENT or isinstance(value, bool):
            return value
        return self.fault(name, "must be true or false")

    def choice(self, name: str, choices: list[str], *, is_required: bool = True) -> Any:
        value = self.value(name, is_required=is_required)
        if value is ABSENT or (isinstance(value, str) and value in choices):
            return value
        return self.fault(name, "must be one of " + ", ".join(choices))

    def part(
        self, name: str, *, is_required: bool = True, is_nullable: bool = False, is_partial: bool | None = None
    ) -> "Attributes | Absent | None":
        """Return the attributes of an object within this one; its faults are gathered with these."""
        value = self.value(name, is_required=is_required)
        if value is ABSENT or (value is None and is_nullable):
            return value
        return self.part_of(value, self.path_of(name), is_nullable=is_nullable, is_partial=is_partial)

    def parts(
        self, name: str, *, is_required: bool = True, is_partial: bool | None = None
    ) -> "list[Attributes | Absent] | Absent":
        """Return the attributes of each object in an array; ABSENT stands for an entry that is no object."""
        value = self.array(name, is_required=is_required)
        if value is ABSENT:
            return ABSENT
        path = self.path_of(name)
        return [self.part_of(entry, f"{path}[{index}]", is_partial=is_partial) for index, entry in enumerate(value)]

    def array(self, name: str, *, is_required: bool = True) -> Any:
        """Return a list of anything."""
        value = self.value(name, is_required=is_required)
        if value is ABSENT or isinstance(value, list):
            return value
        return self.fault(name, "must be an array")

    def part_of(
        self, value: object, path: str, *, is_nullable: bool = False, is_partial: bool | None = None
    ) -> "Attributes | Absent":
        """Return an untrusted value at this path as attributes whose faults are gathered with these."""
        if not isinstance(value, Mapping):
            return self.fault_at(path, "must be null or an object" if is_nullable else "must be an object")
        inner = Attributes(value, is_partial=self.is_partial if is_partial is None else is_partial)
        inner.path = path
        inner.faults = self.faults
        return inner


def is_storable(text: str) -> bool:
    """Return whether the text has neither control characters (PostgreSQL refuses NUL) nor lone surrogates."""
    return not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)
