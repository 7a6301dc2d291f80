"""The load per address of a pool: one definition for the dashboard, the list of pools and a pool's page."""

import datetime
from collections.abc import Collection, Iterable

from stats.counts import buckets
from stats.reports import reputation
from stats.reports.reputation import ByDay

# The days that a load is measured over, today included.
DAYS = 7


def by_day(address_ids: Iterable[int] | None, now: datetime.datetime) -> ByDay:
    """Return the counts of each address on each of the days; None is all addresses. One query."""
    today = buckets.day_of(now)
    return reputation.by_address_and_day(address_ids, today - DAYS + 1, today)


def per_address(address_ids: Collection[int], days: ByDay) -> float:
    """Return the messages per address over the days: each day's, divided by the addresses that sent on that day.

    Addresses that send nothing carry nothing: adding twenty idle ones does not make a pool look lighter.
    """
    messages: dict[int, int] = {}
    senders: dict[int, int] = {}
    for address in address_ids:
        for day, attempts in days.get(address, {}).items():
            if attempts.sent:
                messages[day] = messages.get(day, 0) + attempts.sent
                senders[day] = senders.get(day, 0) + 1
    return sum(messages[day] / senders[day] for day in messages)
