"""Validates the time of an event, and converts it to milliseconds since 1970."""

import datetime
from typing import Any

from django.conf import settings

from stats.counts import buckets
from stats.intake.remarks import EventRefused
from stats.ledger.keys import MILLISECONDS_A_DAY

MOST_DAYS = 40
AHEAD = datetime.timedelta(days=1)
# A number from here on is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973.
LEAST_MILLISECONDS = 100_000_000_000
_MICROSECONDS = 1000
_INVALID = "at must be a time in RFC 3339, or seconds or milliseconds since 1970"
_from_iso = datetime.datetime.fromisoformat


def parse(at: Any) -> int:
    """Return an event's time in milliseconds since 1970, truncated; raises EventRefused."""
    if type(at) is str:
        try:
            since = _from_iso(at) - buckets.EPOCH
        except ValueError:
            since = _lower_case(at) - buckets.EPOCH
        except TypeError:
            # A time without an offset has no difference from one that has.
            raise EventRefused("no_offset", "at must have an offset from UTC, or Z") from None
        milliseconds = since.days * MILLISECONDS_A_DAY + since.seconds * 1000 + since.microseconds // _MICROSECONDS
    elif type(at) is int or (type(at) is float and -1e15 < at < 1e15):
        # A float of seconds is a little off (1.001 is less than 1001 milliseconds): rounded to microseconds it says what
        # the same moment in RFC 3339 does, and what is cut off is the same, so that a replay in either is a duplicate.
        milliseconds = int(at) if at >= LEAST_MILLISECONDS else round(at * 1_000_000) // _MICROSECONDS
    else:
        raise EventRefused("invalid_at", _INVALID)
    return milliseconds


class Timestamps:
    """Parses the times of one batch of events, with its limit of days."""

    def __init__(self, now: datetime.datetime) -> None:
        self._oldest = milliseconds_of(now - datetime.timedelta(days=settings.SLUICE_EVENT_MAX_AGE))
        self._newest = milliseconds_of(now + AHEAD)
        self._days: set[int] = set()

    def read(self, at: Any) -> int:
        """Return the milliseconds since 1970, truncated; raises EventRefused."""
        milliseconds = parse(at)
        day = milliseconds // MILLISECONDS_A_DAY
        if not self._oldest <= milliseconds <= self._newest:
            if milliseconds < self._oldest:
                raise EventRefused("too_old", f"at is more than {settings.SLUICE_EVENT_MAX_AGE} days ago")
            raise EventRefused("in_future", "at is more than a day ahead")
        if day not in self._days:
            if len(self._days) >= MOST_DAYS:
                raise EventRefused(
                    "too_many_days", f"A batch may have events of {MOST_DAYS} days: send this one again later"
                )
            self._days.add(day)
        return milliseconds


def _lower_case(text: str) -> datetime.datetime:
    """Parse a time with a lower-case `z`, which RFC 3339 allows and Python does not."""
    try:
        if text.endswith("z"):
            return _from_iso(f"{text[:-1]}Z")
    except ValueError:
        pass
    raise EventRefused("invalid_at", _INVALID)


def milliseconds_of(moment: datetime.datetime) -> int:
    """Return milliseconds since 1970."""
    since = moment - buckets.EPOCH
    return since.days * MILLISECONDS_A_DAY + since.seconds * 1000 + since.microseconds // _MICROSECONDS
