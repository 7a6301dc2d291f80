"""GreenArrow: JSON of the event notification system, as an array or as lines."""

from typing import Any

from stats.intake.sources.base import (
    Found,
    Ignored,
    RecordReader,
    Settings,
    Unreadable,
    earlier,
    identifier,
    mapping,
    moment,
    path,
    record_of,
    stamp,
    tenant,
    text,
)
from stats.intake.sources.fields import Fields
from stats.intake.sources.framing import json_records, open_stream

# Names of headers may be in any case.
_HEADER = "x-sluice-server"
_STATUSES = {"success": "sent", "failure": "bounced", "failure_toolong": "bounced", "deferral": "deferred"}


def reader(settings: Settings) -> RecordReader:
    """Return a reader of GreenArrow's events."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the outcomes of a record."""
    record = record_of(parsed)
    word = text(record.get("event_type"))
    if not word:
        raise Unreadable("invalid_event", "A record must have an event_type")
    kind, word = _kind(record, word)
    if kind is None:
        return [Ignored(index, word)]
    at = moment(record.get("timestamp", record.get("event_time")), "timestamp")
    headers = mapping(record.get("headers"))
    fields = Fields(
        id=identifier(record.get("event_unique_id"), "event_unique_id"),
        type=kind,
        at=stamp(at),
        server=tenant(settings, (), headers, record) if settings.tenant_field else path(headers, _HEADER) or None,
    )
    if ip := text(record.get("outmtaid_ip")):
        fields.values["ip"] = ip
    fields.party("from", record.get("sender"))
    fields.party("to", record.get("email"))
    if kind == "late_bounce":
        fields.reply(record.get("bounce_text"))
    elif kind != "complaint":
        fields.reply(record.get("message"))
        fields.mx(record.get("mx_hostname"), record.get("mx_ip"))
        fields.since(earlier(record.get("injected_time")), at)
        if record.get("is_retry") in (0, False, "0"):
            fields.values["attempt"] = 1
        if "throttleid" in record:
            # Blank: the default's.
            fields.number("rule", record["throttleid"] or 0, least=0)
    texts = [
        text(record.get(name)) for name in ("mtaid", "mail_class", "sendid", "listid", "outmtaid", "outmtaid_hostname")
    ]
    return [fields.event(index, texts=texts)]


def _kind(record: dict[str, Any], word: str) -> tuple[str | None, str]:
    """Return the kind (None if it is not counted) and GreenArrow's name of it."""
    if word == "delivery_attempt":
        if record.get("channel") == "local":
            # Its own mailbox.
            return None, "local"
        # connmaxout is its own throttle.
        status = text(record.get("status"))
        return _STATUSES.get(status), status or word
    if word == "bounce_all":
        # A synchronous one follows each failure, which was counted already.
        return (None if is_true(record.get("synchronous")) else "late_bounce"), word
    return ("complaint" if word == "scomp" else None), word


def is_true(value: Any) -> bool:
    """Return whether a flag is set: GreenArrow writes them as JSON's booleans, numbers or texts."""
    return value in (True, 1, "1", "true", "t")
