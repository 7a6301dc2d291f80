"""Replays the attempts of the last seven days against limits before they are published."""

import datetime
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, IntegerField
from django.db.models.functions import Cast

from core import sql_lists
from nodes import texts
from nodes.policy import documents
from nodes.policy.rehearsal import Rehearsal, rehearse, sentences
from nodes.publishing import Draft, policies_in
from stats.counts import buckets
from stats.kinds import Kind
from stats.ledger import keys
from stats.models import Day, Event, RecipientDomain
from stats.models.names import OTHER

DAYS = 7
# What counts against an hourly limit: an attempt at a receiver, whatever it answered.
_ATTEMPTS = (Kind.SENT, Kind.DEFERRED, Kind.BOUNCED)


@dataclass(frozen=True, slots=True)
class Replay:
    """The effects of one node's changed limits. `since` is the first hour with stored events."""

    node: str
    rehearsal: Rehearsal
    since: datetime.datetime

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "node": self.node,
            "since": self.since.isoformat(),
            "from": "events still held",
            "domains_move_between_rules": self.rehearsal.moves,
            "summary": sentences(self.rehearsal),
            "delays": [
                {
                    "domains": list(each.domains[:20]),
                    "rule": each.rule,
                    "max_messages_per_hour": each.per_hour,
                    "addresses": list(each.addresses),
                    "attempts": each.attempts,
                    "delayed": each.delayed,
                    "hours": each.hours,
                    "longest_minutes": each.longest_minutes,
                    "leaves_percent": each.left_percent,
                }
                for each in self.rehearsal.delays
            ],
        }


def replay(draft: Draft, *, now: datetime.datetime) -> list[Replay]:
    """Replay the last seven days for each node whose policy the draft changes."""
    return [replay_node(draft, pk, now=now) for pk in changed_nodes(draft)]


def changed_nodes(draft: Draft) -> list[int]:
    """Return the ids of the nodes that would get another policy than they have."""
    held = {} if draft.based_on is None else policies_in(draft.based_on)
    return sorted(pk for pk in draft.policies if pk in held and held[pk].digest != draft.digests[pk])


def replay_node(draft: Draft, pk: int, *, now: datetime.datetime, on_day: Callable[[], None] = lambda: None) -> Replay:
    """Replay the last seven days for a changed node, with two queries a day; `on_day` is called before each day."""
    if draft.based_on is None:
        raise ValueError("nothing is published that could be changed")
    held = policies_in(draft.based_on)[pk]
    before, after = documents.from_json(texts.load([held.policy])[held.policy]), draft.policies[pk]
    sources = before.source_of.keys() & after.source_of.keys()
    since, last_hour = _since(now), buckets.hour_of(now)
    attempts = attempts_of(sources, since=since, now=now, on_day=on_day)
    hours = last_hour - buckets.hour_of(since) + 1
    return Replay(after.node.name, rehearse(before, after, attempts, last_hour=last_hour, hours=hours), since)


def attempts_of(
    addresses: Collection[int], *, since: datetime.datetime, now: datetime.datetime, on_day: Callable[[], None]
) -> Iterator[tuple[int, str, int, int]]:
    """Yield the attempts by address, recipient domain and hour; those to domains without a number are left out."""
    names: dict[int, str] = {}
    for day in range(buckets.day_of(since), buckets.day_of(now) + 1):
        on_day()
        rows = (
            Event.objects.filter(
                key__gte=keys.least_key(day),
                key__lt=keys.least_key(day + 1),
                minute__range=(buckets.minute_of(since), buckets.minute_of(now)),
                kind__in=_ATTEMPTS,
                address_id__in=sql_lists.ids(addresses),
            )
            .annotate(hour=Cast(F("minute") / 60, IntegerField()))
            .order_by()
            .values_list("address_id", "recipient_id", "hour")
            .annotate(total=Count("*"))
        )
        counted = list(rows)
        numbers = {recipient for _, recipient, _, _ in counted} - names.keys()
        names |= RecipientDomain.objects.filter(pk__in=sql_lists.ids(numbers)).values_list("pk", "name")
        for address, recipient, hour, total in counted:
            name = names.get(recipient, OTHER)
            if name != OTHER:
                yield address, name, hour, total


def _since(now: datetime.datetime) -> datetime.datetime:
    """Return the start of the first whole hour of the last seven days whose events are held."""
    earliest = buckets.start_of_hour(buckets.hour_of(now) - DAYS * 24 + 1)
    dropped = Day.objects.filter(dropped_at__isnull=False, day__gte=buckets.day_of(earliest)).order_by("-day").first()
    return earliest if dropped is None else max(earliest, buckets.start_of_day(dropped.day + 1))
