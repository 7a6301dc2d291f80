"""The result of every compiler: files, tags and the fidelity report."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nodes.policy.model import Overlay, Policy

# A finding names so many of those that it is about.
MOST_EXAMPLES = 20


class Fidelity(StrEnum):
    """How exactly an MTA does what is configured. Everything without a finding is exact."""

    EXACT = "exact"
    STRICTER = "stricter"
    NOT_ENFORCED = "not_enforced"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the fidelity report.

    `code` is stable; `about` names the first things that it is about (addresses by IP, rules as `rule 7`, servers as
    `organization/server`), `count` says how many there are; `message` is a sentence.
    """

    fidelity: Fidelity
    code: str
    message: str
    count: int = 1
    about: tuple[str, ...] = ()

    @classmethod
    def of(cls, fidelity: Fidelity, code: str, message: str, about: Iterable[str] = ()) -> "Finding":
        """Return a finding about these objects, sorted and truncated."""
        every = sorted(set(about))
        return cls(fidelity, code, message, max(1, len(every)), tuple(every[:MOST_EXAMPLES]))


@dataclass(frozen=True, slots=True)
class Tag:
    """The meaning of a tag in the MTA's log. `rule` 0: the default."""

    ip: str
    virtual_mta: int
    rule: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """The files by their path relative to the MTA's configuration folder, the tags, and the fidelity report."""

    files: Mapping[str, str]
    sources: Mapping[str, Tag] = field(default_factory=dict)
    fidelity: tuple[Finding, ...] = ()


type Compiler = Callable[[Policy, Overlay], Compiled]


def tag_of(virtual_mta: int, rule: int) -> str:
    """Return the tag of an address and a rule, as it reaches the target's log: `a11-r102`, and `a11-r0` for the default."""
    return f"a{virtual_mta}-r{rule}"
