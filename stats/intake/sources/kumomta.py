"""KumoMTA: JSON log records, from segments (zstd) or a log hook. docs.kumomta.com/reference/log_record."""

import datetime
import re
from typing import Any

from stats.intake.sources.base import (
    Event,
    Found,
    Ignored,
    RecordReader,
    Settings,
    Unreadable,
    digest,
    each_of,
    earlier,
    host,
    identifier,
    mapping,
    moment,
    record_of,
    stamp,
    tenant,
    text,
)
from stats.intake.sources.fields import Fields
from stats.intake.sources.framing import json_records, open_stream

_KINDS = {
    "Reception": "incoming",
    "Delivery": "sent",
    "TransientFailure": "deferred",
    "Bounce": "bounced",
    "Expiration": "bounced",
    "AdminBounce": "bounced",
    # A bounce message came back after the delivery; its id is that of the bounce message.
    "OOB": "late_bounce",
    "Feedback": "complaint",
}
_ATTEMPTS = {"Delivery", "TransientFailure", "Bounce"}
_INTERNAL = "KumoMTA internal:"
_LONGEST_OWN = 2_000
# Of its own words those that tell of a failed attempt at a receiver; all others are its own doing.
_TRIED = re.compile(
    r"failed to connect|connection (?:timeout|timed out|refused|reset|closed)|timed? ?out|refused|unreachable|no route"
    r"|reset by peer|broken pipe|eof|disconnected|resolv|\bdns\b|\bmx\b|handshake",
    re.IGNORECASE,
)
# An address that is not on the machine, or a proxy that is away.
_OWN_FAILURES = (
    "having an unplumbed source address",
    "All failures are related to proxy connection issues",
    ": no ha_proxy_server",
)
_OWN = re.compile(
    r"throttl|suspen|configur|skip_hosts|shutdown|shutting down|rate limit|egress|no sources"
    r"|\bpolicy\b|\blua\b|not enough memory"
    r"|memory (?:is )?low|disk|spool|limit (?:reached|exceeded)",
    re.IGNORECASE,
)


def reader(settings: Settings) -> RecordReader:
    """Return a reader of KumoMTA's records."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the outcomes of a record: one event per recipient."""
    record = record_of(parsed)
    word = text(record.get("type"))
    kind = _KINDS.get(word)
    if kind is None:
        if not word:
            raise Unreadable("invalid_event", "A record must have a type")
        return [Ignored(index, word)]
    if record.get("reception_protocol") == "LogRecord":
        # The records that the log hook itself sends.
        return [Ignored(index, "LogRecord")]
    if kind == "complaint":
        return _complaint(index, record, settings)
    content = text(mapping(record.get("response")).get("content"))
    if kind == "deferred" and not record.get("peer_address") and is_own_doing(content):
        return [Ignored(index, "own_deferral")]
    return _message(index, record, word, kind, settings)


def _message(index: int, record: dict[str, Any], word: str, kind: str, settings: Settings) -> Found:
    """Return the events of a record about a message."""
    get = record.get
    at, base = _when(record), identifier(get("id"), "id")
    queue, source = text(get("queue")), text(get("egress_source"))
    texts: tuple[str, ...] = ()
    server = _tenant(record, settings)
    if server is None:
        # A bounce message lies in a queue of its own.
        campaign, in_queue = ("", None) if kind == "late_bounce" else queue_names(queue)
        server = None if settings.tenant_field else in_queue
        texts = (source, queue, campaign, in_queue or "", text(get("egress_pool")))
    fields = Fields(type=kind, at=stamp(at), server=server)
    if (address := get("source_address")) and (found := host(mapping(address).get("address"))):
        fields.values["ip"] = found
    fields.party("from", get("sender"))
    if kind != "incoming":
        _outcome(fields, record, word, at)
    recipients = get("recipient")
    if type(recipients) is str:
        fields.values["id"] = f"{base}-{_same(record, recipients)}"
        fields.party("to", recipients)
        return [fields.event(index, vmta=source, texts=texts)]
    whose = fields.event(index, vmta=source, texts=texts)
    parties = each_of(recipients) if type(recipients) is list and recipients else [recipients]
    return [_to(whose, fields, base, record, each) for each in parties]


def _tenant(record: dict[str, Any], settings: Settings) -> str | None:
    if settings.tenant_field:
        return tenant(settings, (), record, mapping(record.get("headers")))
    return text(mapping(record.get("meta")).get("tenant")) or None


def _outcome(fields: Fields, record: dict[str, Any], word: str, at: datetime.datetime) -> None:
    """Set the outcome of an attempt."""
    response, peer = mapping(record.get("response")), mapping(record.get("peer_address"))
    fields.reply(response.get("content"), code=response.get("code"), enhanced=_enhanced(response.get("enhanced_code")))
    fields.mx(peer.get("name"), peer.get("addr"))
    if word != "OOB":
        fields.since(earlier(record.get("created_time") or record.get("created")), at)
    tries = record.get("num_attempts")
    if word in _ATTEMPTS:
        # It counts the attempts before this one.
        fields.number("attempt", tries + 1 if type(tries) is int else tries, least=1)


def _said_at(record: dict[str, Any]) -> Any:
    """Return the exact time, which versions before 2025.10 do not write; else the one in whole seconds."""
    at = record.get("event_time")
    return record.get("timestamp") if at is None else at


def _when(record: dict[str, Any]) -> datetime.datetime:
    return moment(_said_at(record), "event_time")


def _same(record: dict[str, Any], recipient: Any) -> str:
    """Return what distinguishes events with one id, which reception, deferrals and delivery share."""
    get = record.get
    return digest(f"{get('nodeid')}\0{get('type')}\0{recipient}\0{_said_at(record)}\0{get('num_attempts')}")


def _to(whose: Event, fields: Fields, base: str, record: dict[str, Any], recipient: Any) -> Event:
    """Return the event of one recipient."""
    one = Fields(id=f"{base}-{_same(record, recipient)}", **fields.values)
    one.warnings += fields.warnings
    one.party("to", recipient)
    return whose._replace(fields=one.values, warnings=tuple(one.warnings))


def _complaint(index: int, record: dict[str, Any], settings: Settings) -> Found:
    report = mapping(record.get("feedback_report"))
    word = text(report.get("feedback_type"))
    if word.lower() in {"not-spam", "auth-failure"}:
        return [Ignored(index, f"Feedback {word}")]
    trace = mapping(report.get("supplemental_trace"))
    server = _tenant({**record, **trace} if settings.tenant_field else record, settings)
    if server is None and not settings.tenant_field:
        server = text(trace.get("tenant")) or None
    fields = Fields(
        id=f"{identifier(record.get('id'), 'id')}-{_same(record, record.get('recipient'))}",
        type="complaint",
        at=stamp(_when(record)),
        server=server,
    )
    if found := host(report.get("source_ip")):
        fields.values["ip"] = found
    fields.party("from", report.get("original_mail_from"))
    # The misspelt name is KumoMTA's.
    recipients = report.get("original_rcpto_to") or report.get("original_rcpt_to")
    if type(recipients) is list:
        recipients = recipients[0] if recipients else None
    fields.party("to", trace.get("recipient") or recipients)
    return [fields.event(index, texts=(text(trace.get("campaign")),))]


def queue_names(queue: str) -> tuple[str, str | None]:
    """Return campaign and tenant of a queue's name, `[campaign:]tenant@domain[!routing]`, as KumoMTA takes it apart."""
    before, at, _ = queue.partition("@")
    if not at:
        return "", None
    campaign, colon, name = before.partition(":")
    return (campaign, name or None) if colon else ("", before or None)


def is_own_doing(content: str) -> bool:
    """Return whether a failure without a peer was local to KumoMTA, not an attempt at a receiver."""
    if not content.startswith(_INTERNAL):
        return False
    # Its own words come first; what is longer quotes somebody, and takes its time by its length.
    words = content[len(_INTERNAL) : _LONGEST_OWN].lstrip()
    if words.startswith(("failed to connect ", "failed to send message")):
        # Names of hosts and sources follow: only KumoMTA's own summaries are looked for.
        return any(summary in words for summary in _OWN_FAILURES)
    return bool(_OWN.search(words)) or not _TRIED.search(words)


def _enhanced(value: Any) -> Any:
    if type(value) is dict:
        return f"{value.get('class')}.{value.get('subject')}.{value.get('detail')}"
    return value
