"""Ends that people choose: of suspensions, pauses, caps, suppressions and keys."""

import datetime

from core.errors import Fault

# An end is shown in the time zone of whoever looks, and something may be added to it: neither may lead out of the calendar.
# One that does would be an error on every page with it, also for those who did not choose it.
FIRST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LAST = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)


def faults_of(field: str, end: datetime.datetime | None, *, at: datetime.datetime) -> list[Fault]:
    """Return what is wrong with an end that must be in the future; None is no end."""
    if end is not None and end <= at:
        return [Fault(field, "must be in the future")]
    return calendar_faults(field, end)


def calendar_faults(field: str, end: datetime.datetime | None) -> list[Fault]:
    """Return what is wrong with an end that may be over already."""
    return [] if end is None or FIRST <= end < LAST else [Fault(field, "must be from the year 1970 to 9998")]
