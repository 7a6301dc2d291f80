"""The exceptions of functions that change records. When one is raised, nothing has changed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The message of a fault where another record has what must be one record's alone.
TAKEN = "has already been taken"


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in the input.

    `path` names the field as the caller wrote it (`rules[2].domains[0]`), empty for the whole; `message` is a sentence part
    that follows the field's name ("has already been taken").
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Dependency:
    """A record that refers to the record to be deleted."""

    type: str
    id: int
    name: str


class Refused(Exception):
    """The reason why an act was refused."""

    default_message = "The request was refused"

    def __init__(self, message: str = "") -> None:
        self.message = message or self.default_message
        super().__init__(self.message)


class Invalid(Refused):
    """The input is invalid; `faults` has all faults."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("; ".join(str(fault) for fault in faults))


class NotFound(Refused):
    """The record does not exist, or belongs to another tenant: callers cannot distinguish these."""

    default_message = "The record could not be found"


class NotAllowed(Refused):
    """The actor does not have the required permission."""

    default_message = "This is not allowed"


class Conflict(Refused):
    """The state of the record does not allow the act."""

    default_message = "The record is in use"


class InUse(Conflict):
    """The record cannot be deleted while others refer to it."""

    def __init__(self, *dependencies: Dependency) -> None:
        self.dependencies = dependencies
        super().__init__("It is used by " + ", ".join(f"{each.type} {each.name}" for each in dependencies))


class QuotaExceeded(Refused):
    """The organization's quota is used up."""

    default_message = "The organization's quota is used up"


class Busy(Refused):
    """Too many concurrent requests; the request itself is valid. `retry_after`: seconds until the next attempt."""

    default_message = "Too many requests; try again later"
    retry_after = 5


_PARTS = re.compile(r"[.\[]")


def _and_around(path: str) -> Iterator[str]:
    """Yield a path and those that it is a part of: `rules[2].domains`, `rules[2]`, `rules`.

    As many as it is deep: comparing it with every fault that there is takes minutes for a request with a fault in each entry.
    """
    yield path
    for part in _PARTS.finditer(path):
        yield path[: part.start()]


class Faults:
    """Collects the faults of an input, so that all of them are reported at once.

    A caller that parses text or JSON passes the faults that it has found already (`known`); these fields are not validated
    again. A subclass can translate the field names of the act into the caller's (`field_name`).
    """

    def __init__(self, known: Iterable[Fault] = ()) -> None:
        self.found = list(known)
        self._known = {fault.path for fault in self.found}
        self._suppressed: set[str] = set()

    def field_name(self, path: str) -> str:
        """Return the caller's name of a field of the act."""
        return path

    def add_known(self, path: str, message: str) -> None:
        """Add a fault that the caller found, with the caller's field name."""
        self.found.append(Fault(path, message))
        self._known.add(path)

    def suppress(self, path: str) -> None:
        """Report no further faults of this path itself."""
        self._suppressed.add(path)

    def add(self, path: str, message: str) -> None:
        """Add a fault that the act found."""
        name = self.field_name(path)
        if name not in self._suppressed and self._known.isdisjoint(_and_around(name)):
            self.found.append(Fault(name, message))

    def integer(self, path: str, value: object, *, lowest: int, highest: int, is_nullable: bool = False) -> None:
        """Validate an integer. Booleans are refused."""
        if value is None and is_nullable:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            null = "null or " if is_nullable else ""
            self.add(path, f"must be {null}an integer from {lowest} to {highest}")

    def refuse(self) -> None:
        """Raise Invalid with every fault, if there is any."""
        if self.found:
            raise Invalid(*self.found)
