"""Readers of event sources, one file per format. Pure: bytes in, outcomes out. Servers are resolved elsewhere."""

import zoneinfo
from collections.abc import Mapping
from typing import Any

from stats.intake.sources import (
    exim,
    greenarrow,
    haraka,
    kumomta,
    native,
    postal,
    postfix,
    powermta,
    sendgrid,
    ses,
)
from stats.intake.sources.base import (
    BadKey,
    BadSignature,
    Event,
    Ignored,
    Outcome,
    Reader,
    Refused,
    Settings,
    TooLarge,
    Warn,
)

__all__ = [
    "FORMATS",
    "LOGS",
    "SIGNED",
    "STATEFUL",
    "BadKey",
    "BadSignature",
    "Event",
    "Ignored",
    "Outcome",
    "Reader",
    "Refused",
    "Settings",
    "TooLarge",
    "Warn",
    "check_key",
    "make",
    "verify",
]

_STATELESS: dict[str, Any] = {
    "native": native,
    "haraka": haraka,
    "kumomta": kumomta,
    "powermta": powermta,
    "greenarrow": greenarrow,
    "postal": postal,
    "ses": ses,
    "sendgrid": sendgrid,
}
_STATEFUL: dict[str, Any] = {"postfix": postfix, "exim": exim}
_SIGNED: dict[str, Any] = {"postal": postal, "ses": ses, "sendgrid": sendgrid}
FORMATS = (
    "native", "postfix", "exim", "haraka", "kumomta", "powermta", "greenarrow", "postal", "ses", "sendgrid",
)  # fmt: skip
# They are read line by line.
LOGS = ("postfix", "exim", "powermta")
STATEFUL = tuple(_STATEFUL)
SIGNED = tuple(_SIGNED)


def make(format: str, settings: Settings, state: dict[str, Any] | None = None) -> Reader:  # noqa: A002
    """Return a reader of the format; raises ValueError for an unknown format or time zone."""
    try:
        zoneinfo.ZoneInfo(settings.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError) as problem:
        raise ValueError(f"{settings.time_zone} is not a time zone") from problem
    found: Reader
    if format in _STATEFUL:
        found = _STATEFUL[format].reader(settings, state)
    elif format in _STATELESS:
        found = _STATELESS[format].reader(settings)
    else:
        raise ValueError(f"{format} is not one of {', '.join(FORMATS)}")
    return found


def check_key(format: str, key: str) -> None:  # noqa: A002
    """Raise BadKey if the text is not a valid verification key or certificate of the format."""
    if format not in _SIGNED:
        raise BadKey(f"Requests of {format} are not signed")
    _SIGNED[format].check_key(key)


def verify(format: str, body: bytes, headers: Mapping[str, str], key: str) -> None:  # noqa: A002
    """Check a request's signature; raises BadSignature. Without a key the token alone authenticates."""
    if key and format in _SIGNED:
        _SIGNED[format].verify(body, headers, key)
