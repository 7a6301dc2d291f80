"""The fields of the native event that a reader makes of a record."""

import datetime
import re
from collections.abc import Sequence
from typing import Any

from stats.intake.sources.base import Event, Warn, mailbox

MAX_REPLY = 1000
MAX_TEXT = 255
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\d)")
_REPLY = re.compile(r"\s*(?:smtp;\s*)?([2-5]\d\d)(?:[ -]+([245]\.\d{1,3}\.\d{1,3})(?= |$|:))?")


class Fields:
    """Builds the fields of one event; an invalid optional field is ignored with a warning."""

    __slots__ = ("values", "warnings")

    def __init__(self, **values: Any) -> None:
        self.values: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        self.warnings: list[Warn] = []

    def _left_out(self, name: str, why: str) -> None:
        self.warnings.append(Warn(f"invalid_{name}", f"{name} is left out: {why}"))

    def reply(self, said: Any, *, code: Any = None, enhanced: Any = None) -> None:
        """Set the receiver's reply; code and enhanced code are parsed from it if they are not given."""
        if said is not None and type(said) is not str:
            self._left_out("reply", "it is not a text")
        elif said and (reply := said.strip()):
            if not (code and enhanced) and (found := _REPLY.match(reply)):
                code = code if code not in (None, "") else found[1]
                enhanced = enhanced if enhanced not in (None, "") else found[2]
            self.values["reply"] = reply[:MAX_REPLY]
        if type(code) is int and 200 <= code <= 599:
            self.values["code"] = code
        else:
            self.number("code", code, least=200, most=599)
        if enhanced not in (None, ""):
            match = _ENHANCED.match(enhanced) if type(enhanced) is str else None
            if match:
                self.values["enhanced"] = match[1]
            else:
                self._left_out("enhanced", "it is not an enhanced status code")

    def number(self, name: str, value: Any, *, least: int, most: int = 2**31 - 1) -> None:
        """Set an integer; None and the empty text are ignored."""
        if value is None or value == "":
            return
        if type(value) is str and value.isdecimal() and value.isascii() and len(value) < 11:
            value = int(value)
        if type(value) is int and least <= value <= most:
            self.values[name] = value
        else:
            self._left_out(name, f"it is not a whole number from {least} to {most}")

    def mx(self, *candidates: Any) -> None:
        """Set the remote host: the first text."""
        for each in candidates:
            if type(each) is str and each and each != "none" and len(each) <= MAX_TEXT:
                self.values["mx"] = each.removesuffix(".")
                return

    def since(self, accepted: datetime.datetime | None, at: datetime.datetime) -> None:
        """Set the seconds from acceptance to this outcome; negative values are ignored."""
        if accepted is not None and at >= accepted:
            self.values["seconds"] = round((at - accepted).total_seconds(), 3)

    def party(self, name: str, value: Any) -> None:
        """Set `from` or `to`."""
        if value is None:
            return
        found = mailbox(value)
        if found is None or len(found) > 320:
            self._left_out(name, "it is not a mailbox address")
        else:
            self.values[name] = found

    def event(self, index: int, *, vmta: str = "", texts: Sequence[str] = (), domain: str = "") -> Event:
        """Return the event. Its mapping texts are of use only where it names no tenant."""
        known = () if "server" in self.values else tuple(dict.fromkeys(filter(None, texts)))
        return Event(index, self.values, 0, vmta, None, known, domain, tuple(self.warnings))
