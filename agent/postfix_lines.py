"""The grammar of Postfix's log lines. Standard library only, Python 3.9.

An address may hold `>, status=sent (`, a reply or a SASL name anything: every line is read from its start, field by field,
or from an end that only Postfix writes.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Container
from typing import Any, NamedTuple

if __package__:
    from agent.log_attempts import MAX_REPLY
else:
    # Copied to a node, with this beside it.
    from log_attempts import MAX_REPLY  # type: ignore[import-not-found,no-redef,unused-ignore]

# Logging paths cut a line at 1,024, 2,000 or more characters; what is cut earlier was cut by an accident.
CUT_BY_LOGGER = 900
LONGEST_INTERNAL = 8192

_QID = r"([0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,20})"  # short | long
# Addresses in external form (info_log_addr_form, the default since 3.5): what is special stands in a quoted string.
_ADDRESS = (
    r'((?:(?:"(?:[^"\\]|\\.)*"|[^"<>\s,@\\\[\]])+(?:@(?:\[(?:[^\]\\]|\\.)*\]|[^\s<>,"@\[\]]*))?)?)'  # local@domain
)
_STAMP = (
    r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|z|[+-]\d\d:?\d\d))"
)
_NAME = r"([\w.-]+(?:/[\w.-]+)*)/([\w-]+)"
# `maillog_file` and most syslogs: nearly all lines, so it is tried first.
_HEAD = re.compile(_STAMP + r" (\S+) " + _NAME + r"\[\d+\]: ")
# journalctl's short-precise, ISO 8601 without an offset, seconds of short-unix.
_OTHER_STAMP = (
    r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|z|[+-]\d\d:?\d\d)?"
    r"|\d{10}\.\d{1,9})"
)
# Container engines put their own time before a line (Docker's `logs -t`, the files of Kubernetes). RFC 5424 begins with the
# priority and its version; FreeBSD's `syslogd -v` and busybox name the priority, before and after the host.
_BEGIN = (
    r"(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}Z (?:std(?:out|err) [FP] )?)?(?:<\d{1,3}>)?(?:1 )?"
    + _OTHER_STAMP
    + r"(?: <[a-z0-9]+\.[a-z]+>)? "
)
_OTHER_HEAD = re.compile(
    _BEGIN + r"(\S+) (?:[a-z0-9]+\.[a-z]+ )?" + _NAME + r"(?:\[\d+\]: (?:\[ID \d+ \w+\.\w+\] )?"
    r"| \d+ - (?:-|\[[^\]]*\]) (?:\ufeff)? ?)"
)
ANY_HEAD = re.compile(_BEGIN + r"\S+ \S|-- ")
# A line of another program, whatever it says.
OF_ANOTHER = re.compile(_BEGIN + r"\S+ [^\s:]+: ")
# Every line of a delivery has this, whatever stands before it.
OF_A_DELIVERY = re.compile(r", dsn=\d\.\d{1,3}\.\d{1,3}, status=[a-z-]+ \(")
CLIENT = re.compile(_QID + r": client=[^\s\[\],]+\[[^\s\[\],]+\](?::\d+)?(?:, |$)")
SASL_METHOD = re.compile(r"sasl_method=[\w-]+, ")
ORIG = re.compile(r"orig_queue_id=" + _QID + r"(?=, orig_client=|$)")
PICKUP = re.compile(_QID + r": uid=\d+ from=<.*>(?: orig_id=" + _QID + r")?$", re.DOTALL)
# Both end as Postfix ends them, and the sender can only stand before that.
ACTIVE = re.compile(_QID + r": from=<(.*)>, size=\d+, nrcpt=(\d{1,9}) \(queue active\)$", re.DOTALL)
EXPIRED = re.compile(_QID + r": from=<(.*)>, status=((?:force-)?expired, returned to sender)$", re.DOTALL)
REMOVED = re.compile(_QID + r": removed$")
_STATUS = (
    r"relay=([^,\s]+), (?:conn_use=\d+, )?delay=([\d.]+), delays=[\d./]+, (?:tls=[^,\s]+, )?dsn=(\d\.\d{1,3}\.\d{1,3})"
    r", status=([a-z-]+) \("
)
_DELIVERY = re.compile(_QID + ": to=<" + _ADDRESS + ">, (?:orig_to=<" + _ADDRESS + ">, )?" + _STATUS)
_INTERNAL = re.compile(">, (?:orig_to=<.{0,320}?>, )?" + _STATUS, re.DOTALL)
_TO = re.compile(_QID + ": to=<")
NAMED = re.compile(_QID + ": ")
_TAG = re.compile(r"sluice-a(\d{1,10})-r(\d{1,10})(?:$|[/-])")
_REPLY = re.compile(r"host [^\s\[]+\[[^\]\s]*\](?::\d+)? (?:said|refused to talk to me): (.*)$", re.DOTALL)
_IN_REPLY = re.compile(r" \(in reply to [A-Za-z ]+\)$")
_CODE = re.compile(r"([2-5]\d\d)(?:[ -]|$)")
_HOST = re.compile(r"([^\s\[]+)\[([^\]\s]*)\]")
_LOOPBACK = re.compile(
    r"(?:localhost|127(?:\.\d{1,3}){3}|::1)\[(?:127\.|::1\])|connect to (?:localhost|127(?:\.\d{1,3}){3}|::1)\["
)

# What smtp(8) says where the trouble is on this machine. A receiver's words come after "host … said:".
_OWN_TROUBLE = (
    "server configuration error",
    "Server configuration error",
    "unsupported configuration",
    "local data error while talking to ",
    "TLS is required, but our TLS engine is unavailable",
    "unknown mail transport error",
    "mail transport unavailable",
    "deferred transport",
    "delivery temporarily suspended",
)


class Delivery(NamedTuple):
    """What one line says of one recipient."""

    qid: str
    recipient: str
    relay: str
    delay: str
    dsn: str
    status: str
    reason: str


class Unread(NamedTuple):
    """Why the line of a delivery cannot be read."""

    code: str
    message: str


def delivery(text: str, start: int, *, whole: bool) -> Delivery | Unread | None:
    """Return the delivery that a line tells of, or why it cannot be read; None where the line is another one."""
    to = _TO.match(text, start)
    if to is None:
        return None
    match = _DELIVERY.match(text, start)
    if match:
        recipient, fields = match[2], match.group(4, 5, 6, 7)
    else:
        # The address is in internal form, which has no grammar: it is read where it can be read in one way only.
        ends = list(_INTERNAL.finditer(text, start)) if len(text) < LONGEST_INTERNAL else []
        if len(ends) > 1:
            return Unread("invalid_line", "The line of a delivery can be read in several ways")
        if not ends:
            return Unread("truncated", "The line of a delivery has been cut, or is of an unknown form")
        match = ends[0]
        recipient, fields = text[to.end() : match.start()], match.groups()
    reason = text[match.end() :]
    # Cut where the input ended, the line would be another one, with another id, when it comes whole.
    if reason.endswith(")") and (whole or reason.count("(") + 1 == reason.count(")")):
        reason = reason[:-1]
    elif not whole or len(text) < CUT_BY_LOGGER:
        return Unread("truncated", "The line of a delivery has been cut")
    relay, delay, dsn, status = fields
    return Delivery(to[1], recipient, relay, delay, dsn, status, reason)


def head(text: str) -> re.Match[str] | None:
    """Return the match of a line's beginning: its stamp, host, and the name and daemon of an instance."""
    found = _HEAD.match(text)
    return _OTHER_HEAD.match(text) if found is None or text.startswith("[ID ", found.end()) else found


@functools.lru_cache(10_000)
def tag(name: str) -> tuple[int, int] | None:
    """Return VirtualMTA and rule of a syslog name that Sluice gave; None for another one."""
    match = _TAG.match(name)
    return (int(match[1]), int(match[2])) if match else None


def is_loopback(found: Delivery) -> bool:
    """Return whether mail goes to this machine by an address that is configured, not by the name of an MX."""
    return _LOOPBACK.match(found.reason if found.relay == "none" else found.relay) is not None


def sorted_out(name: str, daemon: str, kind: str, found: Delivery, tags: Container[str]) -> tuple[str, str | None]:
    """Return the syslog name if it can identify an address (as `tags` do), and the reason why the line is not counted."""
    names_address = name in tags or tag(name) is not None
    if daemon == "smtp" and not names_address and is_loopback(found):
        # To the next instance, or to a filter. Refused there, it is a bounce of the server, by no address.
        return "", {"sent": "handover", "deferred": "own_deferral"}.get(kind)
    # lmtp(8) and the like deliver on this machine, unless their name says by which address.
    remote = daemon == "smtp" or names_address
    if kind == "deferred" and (not remote or found.reason.startswith(_OWN_TROUBLE)):
        return "", "own_deferral"
    return name if remote else "", "discard" if daemon == "discard" else None


def explain(event: dict[str, Any], found: Delivery) -> None:
    """Put into an event what the receiver, or Postfix, said."""
    said = _REPLY.match(found.reason)
    reply = _IN_REPLY.sub("", said[1]) if said else found.reason
    if said or event["type"] == "sent":
        code = _CODE.match(reply)
        if code:
            event["code"] = int(code[1])
    event["enhanced"] = found.dsn
    event["reply"] = reply[:MAX_REPLY]
    host = _HOST.match(found.relay)
    if host:
        event["mx"] = host[1]
    # More than one dot: not a number.
    with contextlib.suppress(ValueError):
        event["seconds"] = float(found.delay)
