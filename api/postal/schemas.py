"""The JSON Schema of an event in `events`, which is parsed as a stream, without a serializer."""

import json

from api.openapi import JSON, Schema
from api.postal.fields import TEXT
from stats import kinds

EVENT: Schema = {
    "type": "object",
    "properties": {
        "id": {
            **TEXT,
            "minLength": 1,
            "maxLength": 128,
            "description": "With server, type, time and recipient, what makes it one event",
        },
        "type": {**TEXT, "enum": [*kinds.COLUMNS, kinds.IGNORED]},
        "at": {
            "anyOf": [{**TEXT, "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339 with an offset, or seconds or (from 100,000,000,000 on) milliseconds since 1970",
        },
        "server": {**TEXT, "description": "UUID or SMTP user; a server's key may leave its own out"},
        "ip": {**TEXT, "description": "The address that the message left by"},
        "from": {**TEXT, "description": "The envelope's sender"},
        "to": {
            **TEXT,
            "description": "The recipient; only its domain is kept, and the whole in deliveries of webhooks",
        },
        "domain": {**TEXT, "description": "The sender domain, where it is not that of `from`"},
        "code": {"type": "integer", "minimum": 200, "maximum": 599, "description": "The receiver's reply code"},
        "enhanced": {**TEXT, "description": "Its enhanced status code, such as 5.1.1"},
        "reply": {**TEXT, "description": "Its reply as text; 1,000 characters are looked at"},
        "mx": {**TEXT, "description": "The remote host"},
        "attempt": {"type": "integer", "minimum": 1, "description": "The number of the attempt"},
        "seconds": {"type": "number", "minimum": 0, "description": "From acceptance to this outcome"},
        "rule": {"type": "integer", "minimum": 0, "description": "The throttling rule that applied; 0: the default"},
    },
    "required": ["id", "type", "at"],
}

_EXAMPLE = {
    "id": "m-1", "type": "sent", "at": "2026-11-21T10:15:30.250Z", "ip": "1.2.3.4",
    "from": "news@example.com", "to": "reader@example.net",
}  # fmt: skip
# The three forms of a body.
EVENTS_BODY: Schema = {
    "required": True,
    "content": {
        JSON: {"schema": {"anyOf": [{"type": "array", "items": EVENT}, EVENT]}, "example": [_EXAMPLE]},
        "application/x-ndjson": {"schema": TEXT, "example": json.dumps(_EXAMPLE) + "\n"},
    },
}
