"""Day arguments of commands."""

import datetime
from argparse import ArgumentParser, ArgumentTypeError

from django.core.management import CommandError

from stats.counts import buckets


def add_day_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="first", type=_date, metavar="DAY", help="first UTC day, as YYYY-MM-DD")
    parser.add_argument("--to", dest="last", type=_date, metavar="DAY", help="last UTC day, included")


def days_between(first: datetime.date | None, last: datetime.date | None) -> range | None:
    """Return the days as numbers; None without arguments, which means all stored days."""
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise CommandError("Give both --from and --to, or neither for all days with stored events.")
    if first > last:
        raise CommandError("--from must not be after --to.")
    return range(buckets.day_number(first), buckets.day_number(last) + 1)


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a date such as 2026-01-31") from None
