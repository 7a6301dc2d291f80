"""Time as numbers, over the edges of months, years and leap days."""

import datetime

import pytest

from stats.counts import buckets
from stats.counts.buckets import Grain, Period, Span

WEDNESDAY = datetime.datetime(2026, 3, 11, 15, 30, 20, tzinfo=datetime.UTC)
DAY = 20_523


def test_the_buckets_of_a_moment() -> None:
    assert buckets.day_of(WEDNESDAY) == DAY
    assert buckets.hour_of(WEDNESDAY) == DAY * 24 + 15
    assert buckets.minute_of(WEDNESDAY) == DAY * 1440 + 15 * 60 + 30
    assert buckets.date_of(DAY) == WEDNESDAY.date()
    assert buckets.start_of_day(DAY) == datetime.datetime(2026, 3, 11, tzinfo=datetime.UTC)
    assert buckets.start_of_hour(DAY * 24 + 15) == datetime.datetime(2026, 3, 11, 15, tzinfo=datetime.UTC)


def test_a_moment_of_another_zone_is_counted_in_utc() -> None:
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert buckets.day_of(datetime.datetime(2026, 3, 12, 0, 30, tzinfo=tokyo)) == DAY


@pytest.mark.parametrize(
    ("period", "span"),
    [
        (None, Span(Grain.TOTAL, 0, 0)),
        (Period.TODAY, Span(Grain.DAY, DAY, DAY)),
        (Period.YESTERDAY, Span(Grain.DAY, DAY - 1, DAY - 1)),
        (Period.WEEK, Span(Grain.DAY, DAY - 2, DAY + 4)),
        (Period.MONTH, Span(Grain.MONTH, 2026 * 12 + 2, 2026 * 12 + 2)),
        (Period.YEAR, Span(Grain.YEAR, 2026, 2026)),
    ],
)
def test_the_span_of_a_period(period: Period | None, span: Span) -> None:
    assert buckets.span_of(period, WEDNESDAY) == span


def test_a_week_begins_on_monday_and_ends_on_sunday() -> None:
    monday = buckets.span_of(Period.WEEK, datetime.datetime(2026, 3, 9, tzinfo=datetime.UTC))
    sunday = buckets.span_of(Period.WEEK, datetime.datetime(2026, 3, 15, 23, 59, 59, tzinfo=datetime.UTC))
    assert monday == sunday == Span(Grain.DAY, DAY - 2, DAY + 4)


def test_months_begin_after_a_leap_day_too() -> None:
    march = buckets.month_number(datetime.date(2024, 3, 1))
    assert buckets.date_of(buckets.first_day_of_month(march) - 1) == datetime.date(2024, 2, 29)
    december = buckets.month_number(datetime.date(2023, 12, 31))
    assert buckets.first_day_of_month(december + 1) == buckets.day_number(datetime.date(2024, 1, 1))
