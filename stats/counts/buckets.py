"""Time buckets as integers: UTC, half-open."""

import datetime
from dataclasses import dataclass

from django.db import models

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_ORDINAL = EPOCH.toordinal()
MINUTES_A_DAY = 24 * 60
HOURS_A_DAY = 24


class Grain(models.IntegerChoices):
    """The length of a bucket, which defines its number."""

    MINUTE = 1, "minute"  # minutes since 1970
    HOUR = 2, "hour"  # hours since 1970
    DAY = 3, "day"  # days since 1970
    MONTH = 4, "month"  # year * 12 + month - 1
    YEAR = 5, "year"  # the year
    TOTAL = 6, "total"  # 0


class Period(models.TextChoices):
    """The periods that the IP Pools API documents; no period is all time. A week begins on Monday."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets of one grain, first and last included."""

    grain: Grain
    first: int
    last: int


def minute_of(at: datetime.datetime) -> int:
    return (at - EPOCH) // datetime.timedelta(minutes=1)


def hour_of(at: datetime.datetime) -> int:
    return minute_of(at) // 60


def day_of(at: datetime.datetime) -> int:
    return minute_of(at) // MINUTES_A_DAY


def day_number(date: datetime.date) -> int:
    return date.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> datetime.date:
    return datetime.date.fromordinal(day + _EPOCH_ORDINAL)


def start_of_day(day: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(days=day)


def start_of_hour(hour: int) -> datetime.datetime:
    return EPOCH + datetime.timedelta(hours=hour)


def whole_hour(at: datetime.datetime) -> datetime.datetime:
    """Return the first whole hour of UTC at or after a moment, in UTC."""
    hour = start_of_hour(hour_of(at))
    return hour if hour == at else hour + datetime.timedelta(hours=1)


def day_begins(day: datetime.date, zone: datetime.tzinfo) -> datetime.datetime:
    """Return when the first hour that counts for a day of a time zone begins: a whole hour of UTC, at or after midnight.

    Counts are kept by whole hours of UTC, so days of a zone such as Asia/Kolkata begin at 00:30.
    """
    return whole_hour(datetime.datetime.combine(day, datetime.time.min, zone).astimezone(datetime.UTC))


def month_number(date: datetime.date) -> int:
    return date.year * 12 + date.month - 1


def first_day_of_month(month: int) -> int:
    return day_number(datetime.date(month // 12, month % 12 + 1, 1))


def span_of(period: Period | None, now: datetime.datetime) -> Span:
    """Return the buckets that a period covers; None is all time."""
    today = day_of(now)
    date = date_of(today)
    match period:
        case None:
            return Span(Grain.TOTAL, 0, 0)
        case Period.TODAY:
            return Span(Grain.DAY, today, today)
        case Period.YESTERDAY:
            return Span(Grain.DAY, today - 1, today - 1)
        case Period.WEEK:
            # Until Sunday, not until today: an event may be a day ahead of our clock.
            monday = today - date.weekday()
            return Span(Grain.DAY, monday, monday + 6)
        case Period.MONTH:
            return Span(Grain.MONTH, month_number(date), month_number(date))
        case Period.YEAR:
            return Span(Grain.YEAR, date.year, date.year)
