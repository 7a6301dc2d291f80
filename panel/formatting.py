"""Formats numbers, limits and names for people."""

import datetime
from collections.abc import Collection, Mapping, Sequence

from django.utils import formats, timezone

from core.texts import counted


def moment(at: datetime.datetime) -> str:
    """Return a time in the reader's zone. Django formats what a method of a page returns in lists alone."""
    return formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")


def limits_in_words(connections: int | None, messages: int | None) -> str:
    """Return two limits as text; 0 is unlimited, None is the template's."""
    return f"{_limit(connections, 'connection')}, {_limit(messages, 'message', ' per hour')}"


def _limit(value: int | None, one: str, tail: str = "") -> str:
    if value is None:
        return f"{one}s{tail} by the template"
    return f"unlimited {one}s{tail}" if value == 0 else counted(value, one, f"{one}s") + tail


# Of more names these are said.
NAMED = 3


def in_short(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def not_asked(labels: Mapping[str, str], checks: Collection[str]) -> str:
    """Return a sentence about the checks of these names for which DNS could not be queried."""
    return f"DNS could not be queried for: {', '.join(labels[check] for check in labels if check in checks)}."
