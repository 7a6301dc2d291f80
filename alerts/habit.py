"""The usual hours of something: the same hours of each of the last seven days, as far as mail follows the clock.

What sends at all hours has the habit at all; a newsletter that is sent on Tuesdays has none, and is never silent.
"""

import datetime
from dataclasses import dataclass

from stats.counts import buckets

# Whole hours without anything, besides the current one.
SILENT_HOURS = 3
DAYS = 7


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours since 1970: the recent ones, in which there should have been something, and the same of the days before."""

    recent: tuple[int, ...]
    usual: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        return self.usual + self.recent


def hours_of(at: datetime.datetime) -> Hours:
    """Return the hours that a habit is seen by: the last three whole ones, and these on each of seven days."""
    current = buckets.hour_of(at)
    whole = range(current - SILENT_HOURS, current)
    usual = sorted(hour - day * buckets.HOURS_A_DAY for day in range(1, DAYS + 1) for hour in whole)
    return Hours((*whole, current), tuple(usual))
