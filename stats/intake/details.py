"""The optional fields of an event. An unreadable one is left out with a warning; the event counts."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

MOST_REPLY = 1_000
_LONGEST_HOST = 255
_LONGEST_SECONDS = 1e9
_MOST_ATTEMPTS = 1_000_000
_LARGEST_ID = 2**63 - 1
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)


class Details(NamedTuple):
    """The optional fields of an event; None if absent."""

    code: int | None = None
    enhanced: str | None = None
    reply: str | None = None
    seconds: float | None = None
    rule: int | None = None


NONE = Details()


def _code(value: Any) -> int:
    code = int(value) if type(value) is str and len(value) == 3 and value.isascii() and value.isdigit() else value
    if type(code) is not int or not 200 <= code <= 599:
        raise ValueError("it must be an SMTP reply code, 200 to 599")
    return code


def _enhanced(value: Any) -> str:
    if type(value) is not str or not _ENHANCED.fullmatch(value):
        raise ValueError("it must be an enhanced status code such as 5.1.1")
    return value


def _reply(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("it must be a text")
    reply = value[:MOST_REPLY]
    if not reply.isprintable():
        # Lines and tabs become blanks; what PostgreSQL or UTF-8 cannot hold goes.
        reply = "".join(each if each.isprintable() else " " for each in reply)
    return reply


def _mx(value: Any) -> None:
    if type(value) is not str or len(value) > _LONGEST_HOST:
        raise ValueError(f"it must be a host name or an address of at most {_LONGEST_HOST} characters")


def _attempt(value: Any) -> None:
    if type(value) is not int or not 1 <= value <= _MOST_ATTEMPTS:
        raise ValueError("it must be a number from 1 on")


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_SECONDS:
        raise ValueError("it must be a number of seconds from 0 on")
    return float(value)


def _rule(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST_ID:
        raise ValueError("it must be the id of a throttling rule, or 0 for the default")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "code": _code,
    "enhanced": _enhanced,
    "reply": _reply,
    "seconds": _seconds,
    "rule": _rule,
    "mx": _mx,
    "attempt": _attempt,
}
FIELDS = frozenset(_READERS)


def read(event: dict[Any, Any], warn: Callable[[str, str], None]) -> Details:
    """Return the event's optional fields; `warn` is called with code and sentence for unreadable ones."""
    values: dict[str, Any] = {}
    for name, reader in _READERS.items():
        value = event.get(name)
        if value is None or value == "":
            continue
        try:
            values[name] = reader(value)
        except ValueError as problem:
            warn(f"invalid_{name}", f"{name} is left out: {problem}")
    # Nothing needs the remote host or the number of the attempt later than here.
    values.pop("mx", None)
    values.pop("attempt", None)
    return Details(**values)


def power_of_two(seconds: float | None) -> int:
    """Return 0 below a second, n from 2^(n-1) seconds up to 2^n, -1 for None."""
    return -1 if seconds is None else int(seconds).bit_length()
