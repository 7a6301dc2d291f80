"""Haraka: the log lines of Sluice's plug-in, which are native events."""

from typing import Any

from stats.intake.sources.base import Event, Found, Ignored, RecordReader, Settings, Unreadable, tenant, text
from stats.intake.sources.framing import json_records, open_stream

NAMES = (
    "id", "type", "at", "server", "ip", "from", "to", "domain", "code", "enhanced", "reply", "mx", "seconds", "attempt", "rule",
)  # fmt: skip


def reader(settings: Settings) -> RecordReader:
    """Return a reader of the plug-in's lines."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the event."""
    if type(parsed) is not dict:
        raise Unreadable("invalid_event", "An event must be a JSON object")
    fields = {name: parsed[name] for name in NAMES if parsed.get(name) is not None}
    if settings.tenant_field:
        named = tenant(settings, (), parsed)
        fields.pop("server", None)
        if named:
            fields["server"] = named
    if "server" not in fields and fields.get("from") == "":
        # Haraka's own notification: no user name, and the null sender.
        return [Ignored(index, "own_notification")]
    return [Event(index, fields, vmta=text(parsed.get("vmta")))]
