"""The exceptions of functions that change records. When one is raised, nothing has changed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the input.

    `path` names the field as the caller wrote it (`rules[2].domains[0]`), empty for the whole; `message` is a sentence part
    that follows the field's name ("has already been taken").
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Dependency:
    """A record that refers to one that was to be deleted."""

    type: str
    id: int
    name: str


class Refused(Exception):
    """This will say why an act was refused."""

    default_message = "The request was refused"

    def __init__(self, message: str = "") -> None:
        self.message = message or self.default_message
        super().__init__(self.message)


class Invalid(Refused):
    """The input breaks rules; `faults` has every one of them."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("; ".join(str(fault) for fault in faults))


class NotFound(Refused):
    """There is no such record, or it is another tenant's: callers cannot tell which."""

    default_message = "The record could not be found"


class NotAllowed(Refused):
    """The actor may not do this, whoever asks with the same rights."""

    default_message = "This is not allowed"


class Conflict(Refused):
    """The record's state does not admit the act."""

    default_message = "The record is in use"


class InUse(Conflict):
    """The record cannot be deleted while others refer to it."""

    def __init__(self, *dependencies: Dependency) -> None:
        self.dependencies = dependencies
        super().__init__("It is used by " + ", ".join(f"{each.type} {each.name}" for each in dependencies))


class QuotaExceeded(Refused):
    """The organization has as much of it as it may have."""

    default_message = "The organization's quota is used up"


class Busy(Refused):
    """Too many do this at once: nothing is wrong with the request. `retry_after`: seconds until another try is worth it."""

    default_message = "Too many requests; try again later"
    retry_after = 5


class Faults:
    """Everything that is wrong with what an act was given, gathered before anything is refused.

    A caller that reads text or JSON hands over what it found already (`known`), so that all faults are told at once; what is
    known to be wrong is not judged again. It also says how it calls the act's fields (`said`).
    """

    def __init__(self, known: Iterable[Fault] = ()) -> None:
        self.found = list(known)
        self._known = {fault.path for fault in self.found}
        self._settled: set[str] = set()

    def said(self, path: str) -> str:
        """Return the caller's word for a field of the act."""
        return path

    def know(self, path: str, message: str) -> None:
        """Add what the caller found, in its own words."""
        self.found.append(Fault(path, message))
        self._known.add(path)

    def settle(self, path: str) -> None:
        """Have nothing more said of what stands at this path itself."""
        self._settled.add(path)

    def add(self, path: str, message: str) -> None:
        """Add what the act found."""
        said = self.said(path)
        if said in self._settled:
            return
        if not any(said == known or said.startswith((f"{known}.", f"{known}[")) for known in self._known):
            self.found.append(Fault(said, message))

    def integer(self, path: str, value: object, *, lowest: int, highest: int, is_nullable: bool = False) -> None:
        """Judge a whole number: a boolean is none."""
        if value is None and is_nullable:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            null = "null or " if is_nullable else ""
            self.add(path, f"must be {null}an integer from {lowest} to {highest}")

    def refuse(self) -> None:
        """Raise Invalid with every fault, if there is any."""
        if self.found:
            raise Invalid(*self.found)
