"""Addresses of the explorer's page: all that it shows is in them, so that a link can be shared."""

import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from stats.counts import buckets

FORMAT = "%Y-%m-%dT%H:%M"


def url(**asked: Any) -> str:
    """Return the explorer's address for what is asked, in the words of `panel.explorer.query`; empty values are left out."""
    given = {name: value for name, value in asked.items() if value not in (None, "")}
    return f"{reverse('admin:explorer')}?{urlencode(given)}"


def of_days(first_day: int, last_day: int, **asked: Any) -> str:
    """Return the explorer's address for some UTC days, both included."""
    since, until = buckets.start_of_day(first_day), buckets.start_of_day(last_day + 1)
    return url(since=since.strftime(FORMAT), until=until.strftime(FORMAT), zone="UTC", grain="day", **asked)


def of_last_days(now: datetime.datetime, days: int, **asked: Any) -> str:
    """Return the explorer's address for some UTC days up to today."""
    today = buckets.day_of(now)
    return of_days(today - days + 1, today, **asked)


def of_last_hours(now: datetime.datetime, hours: int, **asked: Any) -> str:
    """Return the explorer's address for some hours up to the current one, in the viewer's zone."""
    end = buckets.start_of_hour(buckets.hour_of(now) + 1)
    since, until = (timezone.localtime(each) for each in (end - datetime.timedelta(hours=hours), end))
    zone = timezone.get_current_timezone_name()
    return url(since=since.strftime(FORMAT), until=until.strftime(FORMAT), zone=zone, grain="hour", **asked)
