"""The native format of docs/statistics.md. Values are validated when events are stored."""

from typing import Any

from stats.intake.sources.base import Event, Found, RecordReader, Settings, Unreadable, tenant
from stats.intake.sources.framing import json_records, open_stream


def reader(settings: Settings) -> RecordReader:
    """Return a reader of native events."""
    return RecordReader(settings, json_records, read, open_stream)


def read(index: int, parsed: Any, settings: Settings) -> Found:
    """Return the event, unchanged."""
    if type(parsed) is not dict:
        raise Unreadable("invalid_event", "An event must be a JSON object")
    if settings.tenant_field and "server" not in parsed and (server := tenant(settings, (), parsed)):
        parsed = {**parsed, "server": server}
    return [Event(index, parsed)]
