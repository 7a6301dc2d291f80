"""What a topic is given: whose records, when, and what is open already."""

import datetime
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import DateField, DateTimeField, IntegerField

from alerts import habit
from alerts.asking import Given
from alerts.habit import Hours
from alerts.held import Held
from alerts.scope import Scope
from stats.counts import buckets

# What is open of these is asked for by its records' ids.
_ASKED = ("server_silent", "source_silent")


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a scope's records."""

    scope: Scope
    at: datetime.datetime
    held: Held

    @property
    def named(self) -> int:
        """Of each condition so many records are named; more are one line with their number."""
        return self.scope.named

    def pks(self, condition: str) -> list[int]:
        """Return the ids of records that have an open alert of a condition."""
        assert condition in _ASKED
        return self.held.pks(condition)

    @property
    def key(self) -> Hashable:
        """All that questions depend on, besides the time."""
        quotas = tuple(sorted(settings.SLUICE_QUOTAS.items()))
        return self.scope.key, self.named, quotas, *(tuple(self.pks(condition)) for condition in _ASKED)


# --- What questions are given: expressions instead of values, so that they are made once ------------------------------

# When they are asked. It stands for a time in the look-ups of querysets.
MOMENT: Any = Given(lambda at: at, DateTimeField())
YESTERDAY: Any = Given(lambda at: at.astimezone(datetime.UTC).date() - datetime.timedelta(days=1), DateField())


def days(number: int) -> list[Any]:
    """Return so many days until today, as the counts number them."""
    return [Given(partial(_day, before=before), IntegerField()) for before in range(number)]


def _day(at: datetime.datetime, *, before: int) -> int:
    return buckets.day_of(at) - before


def _hour(at: datetime.datetime, *, before: int) -> int:
    return buckets.hour_of(at) - before


def hours() -> Hours:
    """Return the hours that a habit is seen by."""
    # Only their distances from the current one matter.
    some = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    found = habit.hours_of(some)

    def given(numbers: tuple[int, ...]) -> Any:
        return tuple(Given(partial(_hour, before=buckets.hour_of(some) - each), IntegerField()) for each in numbers)

    return Hours(given(found.recent), given(found.usual))


HOURS = hours()
