"""Parses Exim's main log into events, with state per message. Standard library only, Python 3.9.

It wants `log_selector = +received_recipients +incoming_interface +outgoing_interface` (the address is logged only with both)
and, for exact times, `+millisec` and `log_timezone`. Every line is read field by field in Exim's own order: a sender, a HELO
name, a Message-ID or a reply may hold anything, and none of them may forge another field.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

if __package__:
    from agent import log_attempts
    from agent.log_state import Messages
    from agent.log_times import BadStamp, Times
else:
    # Copied to a node, with these beside it.
    import log_attempts  # type: ignore[import-not-found,no-redef,unused-ignore]
    from log_state import Messages  # type: ignore[import-not-found,no-redef,unused-ignore]
    from log_times import BadStamp, Times  # type: ignore[import-not-found,no-redef,unused-ignore]

Out = dict[str, Any]
# Exim's usual retry rules give up after four days; a week, for those of others.
LIFETIME = 8 * 86400
# Messages whose state is kept: it is stored with each delivery of the log.
MOST_MESSAGES = 200_000
# Characters beyond a line's own that are looked at for its recipients.
LOOKED_AT = 2_000
# Characters of a sender or a user's name that are kept: longer ones are neither.
LONGEST_NAME = 400
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID = r"([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))"
# With `log_file_path = syslog` a line begins as those of a syslog do.
_SYSLOG = (
    r"(?:(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:?\d\d))"
    r" \S+ exim4?(?:\[\d+\])?: )?"
)
_OWN_HEAD = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [+-]\d{4})?) (?:\[\d+\] )?" + _ID + " "
_HEAD, _SYSLOG_HEAD = re.compile(_OWN_HEAD), re.compile(_SYSLOG + _OWN_HEAD)
_ANY_HEAD = re.compile(_SYSLOG + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_PLAIN = r'(?:"(?:[^"\\]|\\.)*"|[^"<>\s\\\[\]])+(?:\[(?:[^\]\\]|\\.)*\])?'  # an address: a quoted string, a literal
_ADDRESS = "(" + _PLAIN + ")"
_ANGLE = r"<(?:" + _PLAIN + ")?>"
_SENDER = "(<>|" + _PLAIN + ")"
# In Exim's order, with all that log_selector can add (`+all`): DS is +dnssec, PRX +proxy, L +pipelining.
_HOST = r"(?: DS)? H=(?:[^\s()\[\]]+ )?(?:\([^()\s]*\) )?\[[0-9A-Fa-f.:]+\](?::\d+)?"
_INTERFACE = r" I=\[([0-9A-Fa-f.:]+)\](?::?\d+)?"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ARRIVAL = re.compile(
    "<= "
    + _SENDER
    + "( R="
    + _ID
    + ")?(?:"
    + _HOST
    + ")?(?:"
    + _INTERFACE
    + r")?(?: TFO\*{0,2})?(?: U=\S+)?(?: P=(\S+))?(?: L[*.]?-?)?(?: X=\S+)?(?: CV=\S+)?"
    # +smtp_mailauth adds the sender that the client named to its login.
    r"(?: DN=" + _QUOTED + r")?(?: SNI=\S+)?(?: A=[\w-]+(?::([^\s:]+)(?::\S+)?)?)?(?= |$)"
)
_SECOND_HOST = re.compile(r"\) \[[0-9A-Fa-f.:]+\](?::\d+)?(?: I=\S+)?(?: U=\S+)? P=")
# Between the address and the one that it was redirected from, +all_parents shows those between them.
_PARENTS = r"(?: \(" + _PLAIN + "(?: " + _PLAIN + r")*(?<=\)))?"
_TO = (
    _ADDRESS + _PARENTS + "(?: (" + _ANGLE + "))?(?: F=" + _ANGLE + r")?(?: Q=\S+)?(?: SRS=" + _ANGLE + ")?"
    "(?: P=" + _ANGLE + r")?(?: R=\S+)?(?: T=\S+)?(?: S=\d+)?"
)
_REMOTE = (
    r"(?: H=(\S+)(?: DS)? \[([0-9A-Fa-f.:]+)\](?::\d+)?\*?(?: PRX=\[[0-9A-Fa-f.:]*\](?::?\d+)?)?)?"
    "(?:" + _INTERFACE + r"\*?)?"
)
_TLS = r"(?: (?:X|CV|PRX|SNI|A)=\S+| DN=" + _QUOTED + r"| (?:L\*?|K|PRDR|TFO\*{0,2}))*"
_DELIVERED = re.compile("(?:=>|->|>>) " + _TO + _REMOTE + _TLS + '(?: C=("(?:[^"\\\\]|\\\\.)*"?))?')
_FAILED = re.compile(r"\*\* " + _TO + _REMOTE + _TLS + "(?:: |$)")
_DEFERRED = re.compile(
    "== "
    + _TO
    + r"(?: routing)? defer \((-?\d+)\)(?:: ([^:\[\]]*?))?"
    + _REMOTE
    + _TLS
    + r"(?: DT=[\d.smhdw]+)?(?:: |$)"
)
_QUEUE_TIME = re.compile(r" QT=([\d.]+)s(?: DT=[\d.]+m?s)?$")
_TIMES = re.compile(r"(?: QT=[\d.smhdw]+)?(?: DT=[\d.smhdw]+)?$")
_AFTER = re.compile(
    r"SMTP error from remote mail server after (?:pipelined )?(?:[A-Z]+ ?(?:TO|FROM)?:?" + _ANGLE + "[^:]*|[^:]*): "
)
_CODE = re.compile(r"([2-5]\d\d)(?:[ -](\d\.\d{1,3}\.\d{1,3})(?: |$))?")
_LIST = re.compile(_PLAIN + "(?: " + _PLAIN + ")*")
_EACH = re.compile(_PLAIN)
# Errors of "it is not time yet" for routing, a local delivery and a host.
_NOT_TRIED = {"-52", "-53", "-54", "-55"}
_NOT_TRIED_TEXT = (
    "retry time not reached",
    "Spool file is locked",
    "domain matches queue_",
    "local delivery suspended",
)
_ENDED = ("removed by ", "cancelled by timeout_frozen_after")


class Message:
    """What the lines of one message id have said so far."""

    __slots__ = ("attempts", "own", "received", "sender", "server")

    def __init__(
        self,
        server: str | None,
        sender: str,
        received: float,
        attempts: dict[str, list[Any]] | None = None,
        *,
        own: bool = False,
    ) -> None:
        self.server, self.sender, self.received, self.own = server, sender, received, own
        # By open recipient: address of the last attempt, attempts forgotten, sums of the attempts' lines.
        self.attempts = attempts or {}

    def as_json(self) -> list[Any]:
        return [self.server, self.sender, self.received, self.own, self.attempts]

    @classmethod
    def from_json(cls, values: list[Any]) -> Message:
        server, sender, received, own, attempts = values
        return cls(server, sender, received, attempts, own=own)


class Reader:
    """Reads the lines of one Exim; outcomes as those of `postfix_log.Reader`."""

    def __init__(self, time_zone: str = "UTC", state: dict[str, Any] | None = None, now: float = 0.0) -> None:
        state = state or {}
        self.times = Times(time_zone, now, state.get("clock"), arrival)
        self.messages = Messages(Message, "received", state.get("messages", {}))
        self._hour = state.get("hour", 0)
        self._tail = state.get("tail", "").encode("utf-8", "surrogateescape")

    def state(self) -> dict[str, Any]:
        """Return what is needed to go on, as JSON's types."""
        return {
            "clock": self.times.clock,
            "hour": self._hour,
            "messages": self.messages.texts(),
            "tail": self._tail.decode("utf-8", "surrogateescape"),
        }

    def feed(self, data: bytes) -> list[Out]:
        """Read a piece of the log, cut anywhere: what follows the last line feed waits for the next piece."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        return [out for line in lines for out in self.line(line)]

    @staticmethod
    def head(raw: bytes) -> tuple[str, str] | None:
        """Return the stamp of a line, and no queue id; None where it is not one of a main log."""
        text = raw.decode("utf-8", "surrogateescape")
        head = _HEAD.match(text) or _SYSLOG_HEAD.match(text)
        return (head[1], "") if head else None

    def finish(self) -> list[Out]:
        """Return what is held, which is nothing."""
        return []

    def line(self, raw: bytes, where: Any = None, *, whole: bool = True) -> list[Out]:
        """Read one line, of bytes, without its line feed; not `whole`: the input ended without one."""
        # A machine that lost its power leaves NULs where the lines before were to be.
        raw = (raw.lstrip(b"\0") or raw).rstrip(b"\r")
        text = raw.decode("utf-8", "surrogateescape")
        head = _HEAD.match(text) or _SYSLOG_HEAD.match(text)
        if head is None:
            if not text or text.isspace() or (whole and _ANY_HEAD.match(text)):
                return []
            return [{"refused": "invalid_line", "message": "The line is not one of a main log", "where": where}]
        try:
            at = self.times.of(head[1], head[2])
        except BadStamp:
            return [{"refused": "invalid_at", "message": "The line's time cannot be read", "where": where}]
        outs = self._read(text, head, at, raw, where, whole=whole)
        clock = self.times.clock
        if clock is not None and clock // 3600 > self._hour:
            self._hour = int(clock // 3600)
            for key in self.messages.older(clock - LIFETIME):
                del self.messages[key]
        return outs

    def _read(self, text: str, head: re.Match[str], at: float, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        key, flag = head[2], text[head.end() : head.end() + 3]
        if flag == "<= ":
            return self._arrival(text, head, at, raw, where)
        message = self.messages.get(key)
        if flag in ("=> ", "-> ", ">> ", "** ", "== "):
            if message is None:
                return [{"ignored": "unknown_message", "where": where}]
            if message.own:
                return [{"ignored": "own_notification", "where": where}]
            if not whole:
                # Where such a line ends only its line feed says.
                return [_refused("truncated", "The last line has no end: it may have been cut", where)]
            read = {"*": self._failed, "=": self._deferred if flag == "== " else self._delivered}.get(
                flag[0], self._delivered
            )
            outs = read(message, text, head, at, raw, where)
            return outs or [_refused("invalid_line", "The fields of the delivery cannot be read", where)]
        if message is None:
            return []
        rest = text[head.end() :]
        if rest == "Completed" or rest.startswith("Completed QT="):
            del self.messages[key]
        elif rest.startswith(_ENDED) and not message.own:
            outs = []
            for recipient, attempt in sorted(message.attempts.items()):
                event = self._event(message, key, "bounced", at, raw, recipient, recipient, attempt[0])
                event["reply"] = rest
                outs.append({"event": event, "where": where})
            message.attempts = {}
            return outs
        return []

    def _arrival(self, text: str, head: re.Match[str], at: float, raw: bytes, where: Any) -> list[Out]:
        match = _ARRIVAL.match(text, head.end())
        if match is None:
            return [_refused("invalid_line", "The fields of the arrival cannot be read", where)]
        sender, reference, protocol, user = match.group(1, 2, 5, 6)
        sender = "" if sender == "<>" else sender[:LONGEST_NAME]
        # A message made here about another one.
        own = bool(reference) and not sender and protocol == "local"
        if _SECOND_HOST.search(text, match.end()):
            # A HELO name (helo_accept_junk_hosts) or a Message-ID that looks like a host: the login may be part of it.
            user = None
        if len(self.messages) >= MOST_MESSAGES:
            del self.messages[next(iter(self.messages))]
        message = self.messages[head[2]] = Message(user[:LONGEST_NAME] if user else None, sender, at, own=own)
        if own:
            return []
        recipients = _recipients(text, match.end())
        if not recipients:
            return [{"ignored": "arrival_without_recipients", "where": where}]
        outs = []
        for recipient in recipients:
            message.attempts[recipient] = ["", 0]
            event = self._event(message, head[2], "incoming", at, raw, recipient, recipient)
            outs.append({"event": event, "where": where})
        return outs

    def _delivered(
        self, message: Message, text: str, head: re.Match[str], at: float, raw: bytes, where: Any
    ) -> list[Out]:
        match = _DELIVERED.match(text, head.end())
        if match is None:
            return []
        recipient, parent, host, number, interface, reply = match.groups()
        if host is None and text.startswith(" H=", match.end()) and " [" in text[match.end() :]:
            # To a host, whose fields are of an unknown form: counted, it would lack its address.
            return []
        attempt = log_attempts.note(message.attempts, recipient, interface or "", raw, tried=host is not None)
        _close(message, recipient, parent)
        event = self._event(message, head[2], "sent", at, raw, "", _given(recipient, parent), interface)
        if reply:
            _explain(event, re.sub(r"\\(.)", r"\1", reply.strip('"')))
        queued = _QUEUE_TIME.search(text)
        if queued:
            event["seconds"] = float(queued[1])
        return [{"event": _placed(event, host or number, attempt), "where": where}]

    def _failed(self, message: Message, text: str, head: re.Match[str], at: float, raw: bytes, where: Any) -> list[Out]:
        match = _FAILED.match(text, head.end())
        if match is None:
            return []
        recipient, parent, host, number, interface = match.groups()
        reason = _TIMES.sub("", text[match.end() :])
        last = message.attempts.get(recipient, [""])[0]
        expired = "retry timeout exceeded" in reason
        attempt = log_attempts.note(
            message.attempts, recipient, interface or "", raw, tried=host is not None and not expired
        )
        _close(message, recipient, parent)
        event = self._event(
            message,
            head[2],
            "bounced",
            at,
            raw,
            "",
            _given(recipient, parent),
            interface or (last if expired else None),
        )
        _explain(event, reason)
        return [{"event": _placed(event, host or number, attempt), "where": where}]

    def _deferred(
        self, message: Message, text: str, head: re.Match[str], at: float, raw: bytes, where: Any
    ) -> list[Out]:
        match = _DEFERRED.match(text, head.end())
        if match is None:
            return []
        recipient, parent, errno, trouble, host, number, interface = match.groups()
        reason = _TIMES.sub("", text[match.end() :]) or trouble or ""
        if not host:
            # "defer (111): Connection refused DT=0.000s", "defer (-1): lowest numbered MX record points to local host: x"
            reason = _TIMES.sub("", text[match.start() :].partition(" defer (")[2].partition("): ")[2]) or reason
        tried = errno not in _NOT_TRIED and not reason.startswith(_NOT_TRIED_TEXT)
        attempt = log_attempts.note(message.attempts, recipient, interface or "", raw, tried=tried)
        if not tried:
            return [{"ignored": "retry_time_not_reached", "where": where}]
        event = self._event(message, head[2], "deferred", at, raw, "", _given(recipient, parent), interface)
        _explain(event, reason)
        return [{"event": _placed(event, host or number, attempt), "where": where}]

    def _event(
        self,
        message: Message,
        key: str,
        kind: str,
        at: float,
        raw: bytes,
        salt: str,
        recipient: str,
        interface: str | None = None,
    ) -> dict[str, Any]:
        digest = hashlib.sha256(raw + b"\0" + salt.encode("utf-8", "surrogateescape")).hexdigest()[:20]
        event: dict[str, Any] = {"id": key + "-" + digest, "type": kind, "at": self.times.text(at)}
        if message.server is not None:
            event["server"] = message.server
        if interface:
            event["ip"] = interface
        event["from"] = message.sender
        event["to"] = recipient
        if kind != "incoming":
            event["seconds"] = max(0.0, round(at - message.received, 3))
        return event


def arrival(key: str) -> float:
    """Return when the message of an id arrived: it begins with the seconds since 1970, in base 62."""
    seconds = 0
    for c in key[:6]:
        seconds = seconds * 62 + _DIGITS.index(c)
    return float(seconds)


def _recipients(text: str, start: int) -> list[str]:
    """Return the addresses after the last " for " behind which nothing but addresses stands: a Message-ID may hold one too."""
    end = len(text)
    # Each look goes to the line's end: where a sender made up a Message-ID of thousands of them, the nearest are enough.
    left = len(text) + LOOKED_AT
    while True:
        found = text.rfind(" for ", start, end)
        if found < 0 or left < 0:
            return []
        rest = text[found + 5 :]
        left -= len(rest)
        if _LIST.fullmatch(rest):
            return list(dict.fromkeys(_EACH.findall(rest)))
        end = found + 4


def _given(recipient: str, parent: str | None) -> str:
    """Return the recipient, or the address that was given where it is a user, a file or a program of this machine."""
    return recipient if "@" in recipient or parent is None else parent[1:-1] or recipient


def _close(message: Message, recipient: str, parent: str | None) -> None:
    message.attempts.pop(recipient, None)
    if parent:
        # Redirected: the address that was given stands behind, in angle brackets.
        message.attempts.pop(parent[1:-1], None)


def _explain(event: dict[str, Any], reason: str) -> None:
    reply = reason.replace("\\n", " ")
    after = _AFTER.match(reply)
    if after:
        reply = reply[after.end() :]
    if not reply:
        return
    code = _CODE.match(reply) if after or event["type"] == "sent" else None
    if code:
        event["code"] = int(code[1])
        if code[2]:
            event["enhanced"] = code[2]
    event["reply"] = reply[: log_attempts.MAX_REPLY]


def _placed(event: dict[str, Any], host: str | None, attempt: int) -> dict[str, Any]:
    if host:
        event["mx"] = host
    if attempt:
        event["attempt"] = attempt
    return event


def _refused(code: str, message: str, where: Any) -> Out:
    return {"refused": code, "message": message, "where": where}
