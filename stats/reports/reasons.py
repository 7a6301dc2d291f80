"""Queries on reply classes, attempts by throttling rule, and delivery times.

Days are numbers since 1970, first and last included; `None` for ids means all of them. Read from the counts alone.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import QuerySet

from stats import reasons
from stats.counts.buckets import Grain
from stats.ledger import storage
from stats.models import (
    AddressReasonCount,
    Bucket,
    LatencyCount,
    Provider,
    ReasonCount,
    Signature,
    SignatureCount,
    ThrottleCount,
)
from stats.reports.queries import OTHER_PROVIDERS
from stats.reports.reader import Counts, Ids, rows_of, sums_of

MOST_SIGNATURES = 100
OTHER_SIGNATURES = "other"


class Replies(NamedTuple):
    """The number of replies that deferred messages, rejected them, or bounced them after `sent`."""

    deferred: int = 0
    bounced: int = 0
    late_bounce: int = 0


class Attempts(NamedTuple):
    """The number of accepted, deferred and rejected attempts."""

    sent: int = 0
    deferred: int = 0
    bounced: int = 0


class SignatureTotal(NamedTuple):
    """A kind of reply: its id, a masked sample of it, and how many there were."""

    id: int
    text: str
    replies: Replies


def by_class(server_ids: Iterable[int] | None, first_day: int, last_day: int) -> dict[str, Replies]:
    """Return the replies to some servers' messages by class, most bounces first."""
    rows = _days(ReasonCount, first_day, last_day, server_id=server_ids)
    found = {reasons.WORDS[key[0]]: _replies(counts) for key, counts in sums_of(rows, "reason").items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].bounced, -item[1].deferred, item[0])))


def by_hour_and_class(
    server_ids: Iterable[int] | None, first_hour: int, last_hour: int
) -> dict[int, dict[str, Replies]]:
    """Return the replies to some servers' messages by hour (since 1970) and class, for hours that have any."""
    rows = rows_of(ReasonCount, Grain.HOUR, range(first_hour, last_hour + 1), server_id=server_ids)
    found: dict[int, dict[str, Replies]] = {}
    for (hour, reason), counts in sums_of(rows, "bucket", "reason").items():
        found.setdefault(hour, {})[reasons.WORDS[reason]] = _replies(counts)
    return found


def by_address_provider_and_class(
    address_ids: Iterable[int] | None, first_day: int, last_day: int
) -> dict[int, dict[str, dict[str, Replies]]]:
    """Return the replies by address, provider (by name, `other` for all that are not known) and class."""
    rows = _days(AddressReasonCount, first_day, last_day, address_id=address_ids)
    names = dict(Provider.objects.values_list("id", "name"))
    found: dict[int, dict[str, dict[str, Replies]]] = {}
    for (address, provider, reason), counts in sums_of(rows, "address_id", "provider_id", "reason").items():
        name = names.get(provider, OTHER_PROVIDERS)
        of_provider = found.setdefault(address, {}).setdefault(name, {})
        before = of_provider.get(reasons.WORDS[reason], Replies())
        of_provider[reasons.WORDS[reason]] = Replies(*map(sum, zip(before, _replies(counts), strict=True)))
    return found


def by_signature(
    address_ids: Iterable[int] | None, first_day: int, last_day: int, *, limit: int = MOST_SIGNATURES
) -> list[SignatureTotal]:
    """Return the kinds of replies to some addresses, most frequent first; address 0 has those of no known address."""
    rows = _days(SignatureCount, first_day, last_day, address_id=address_ids)
    found = {key[0]: _replies(counts) for key, counts in sums_of(rows, "signature_id").items()}
    ranked = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))[:limit]
    texts = {row.pk: str(row) for row in Signature.objects.filter(pk__in=storage.ids(key for key, _ in ranked))}
    return [SignatureTotal(key, texts.get(key, OTHER_SIGNATURES), replies) for key, replies in ranked]


def by_rule(address_ids: Iterable[int], grain: Grain, first: int, last: int) -> dict[tuple[int, int], Attempts]:
    """Return the attempts by address and throttling rule (0: the default) over minutes or hours, by number."""
    rows = rows_of(ThrottleCount, grain, range(first, last + 1), address_id=address_ids)
    return {(key[0], key[1]): _attempts(counts) for key, counts in sums_of(rows, "address_id", "rule_id").items()}


def latencies(address_ids: Iterable[int] | None, first_day: int, last_day: int) -> dict[int, Attempts]:
    """Return the attempts by the time since acceptance: 0 below a second, n from 2^(n-1) seconds up to 2^n."""
    rows = _days(LatencyCount, first_day, last_day, address_id=address_ids)
    return {key[0]: _attempts(counts) for key, counts in sorted(sums_of(rows, "latency").items())}


def _days(counts: type[Bucket], first_day: int, last_day: int, **ids: Ids) -> QuerySet[Any]:
    return rows_of(counts, Grain.DAY, range(first_day, last_day + 1), **ids)


def _replies(counts: Counts) -> Replies:
    return Replies(counts.deferred, counts.bounced, counts.late_bounce)


def _attempts(counts: Counts) -> Attempts:
    return Attempts(counts.sent, counts.deferred, counts.bounced)
