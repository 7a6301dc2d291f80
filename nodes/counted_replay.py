"""Replays the counted attempts of the last seven days against a rule set's new hourly limits, before they are saved.

Counts know the rule that applied and not the recipient's domain. So this is exact for rules that keep their domains; where
domains move between rules, and for the default, which has a counter for each domain, `nodes.replay` reads the events.
"""

import datetime
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db.models import F, Max, Sum

from nodes.policy.rehearsal import Delay, delay_of, longest_first
from nodes.replay import DAYS
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ThrottleCount
from stats.reports.reader import rows_of
from throttling.limits import LimitRule, LimitTable

# Addresses that are replayed while a page is made.
MOST_ADDRESSES = 1_000


@dataclass(frozen=True, slots=True)
class CountedReplay:
    """What lower limits of rules would have delayed; `is_whole` if no more than they change: no domain's rule, no default."""

    delays: tuple[Delay, ...]
    is_whole: bool


def replay_counts(
    ip_of: Mapping[int, str], before: LimitTable, after: LimitTable, *, now: datetime.datetime
) -> CountedReplay:
    """Replay the last seven days of these addresses (the IP address by id), in two queries."""
    old, new = rules_in(before), rules_in(after)
    lowered = {
        pk: rule
        for pk, rule in new.items()
        if pk in old and _is_lower(rule.max_messages_per_hour, old[pk].max_messages_per_hour)
    }
    is_whole = _places(before) == _places(after) and before.max_messages_per_hour == after.max_messages_per_hour
    if not lowered or not ip_of:
        return CountedReplay((), is_whole)
    last = buckets.hour_of(now)
    hours = range(last - DAYS * 24 + 1, last + 1)
    attempts = F("sent") + F("deferred") + F("bounced")
    rows = rows_of(ThrottleCount, Grain.HOUR, hours, address_id=ip_of, rule_id=lowered)
    summed = rows.order_by().values_list("address_id", "rule_id").annotate(total=Sum(attempts), most=Max(attempts))
    total: defaultdict[int, int] = defaultdict(int)
    above: dict[int, list[int]] = {pk: [] for pk in lowered}
    for address, rule, number, most in summed:
        total[rule] += number
        # What never exceeded the limit in an hour never waits.
        if most > lowered[rule].max_messages_per_hour:
            above[rule].append(address)
    used: dict[int, dict[str, dict[int, int]]] = {
        rule: {ip_of[address]: {} for address in sorted(found)} for rule, found in above.items()
    }
    ids = {address for found in above.values() for address in found}
    detailed = rows.filter(address_id__in=ids) if ids else rows.none()
    for address, rule, hour, number in detailed.values_list("address_id", "rule_id", "bucket", attempts):
        if ip_of[address] in used[rule]:
            used[rule][ip_of[address]][hour] = number
    delays = [
        replace(
            delay_of(pk, rule.max_messages_per_hour, sorted(rule.domains), used[pk], last_hour=last), attempts=total[pk]
        )
        for pk, rule in lowered.items()
    ]
    return CountedReplay(longest_first(delays), is_whole)


def rules_in(table: LimitTable) -> dict[int, LimitRule]:
    """Return the rules of a table by id."""
    return {rule.id: rule for rule in table.rule_of.values()}


def _is_lower(number: int, before: int) -> bool:
    return bool(number) and (not before or number < before)


def _places(table: LimitTable) -> dict[str, int]:
    return {pattern: rule.id for pattern, rule in table.rule_of.items()}
