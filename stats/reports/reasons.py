"""Queries on reply classes, attempts by throttling rule, and delivery times.

Days are numbers since 1970, first and last included; `None` for ids means all of them. Read from the counts alone.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import QuerySet, Sum

from stats import reasons
from stats.counts.buckets import Grain
from stats.ledger import storage
from stats.models import (
    AddressReasonCount,
    LatencyCount,
    Provider,
    ReasonCount,
    Signature,
    SignatureCount,
    ThrottleCount,
)
from stats.reports.queries import OTHER_PROVIDERS

_REPLIED = ("deferred", "bounced", "late_bounce")
_ATTEMPTS = ("sent", "deferred", "bounced")
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
    rows = _days(ReasonCount.objects.all(), first_day, last_day)
    if server_ids is not None:
        rows = rows.filter(server_id__in=storage.ids(server_ids))
    found = {reasons.WORDS[key[0]]: Replies(*sums) for key, sums in _grouped(rows, _REPLIED, "reason")}
    return dict(sorted(found.items(), key=lambda item: (-item[1].bounced, -item[1].deferred, item[0])))


def by_hour_and_class(
    server_ids: Iterable[int] | None, first_hour: int, last_hour: int
) -> dict[int, dict[str, Replies]]:
    """Return the replies to some servers' messages by hour (since 1970) and class, for hours that have any."""
    rows: QuerySet[Any] = ReasonCount.objects.filter(grain=Grain.HOUR, bucket__in=range(first_hour, last_hour + 1))
    if server_ids is not None:
        rows = rows.filter(server_id__in=storage.ids(server_ids))
    found: dict[int, dict[str, Replies]] = {}
    for (hour, reason), sums in _grouped(rows, _REPLIED, "bucket", "reason"):
        found.setdefault(hour, {})[reasons.WORDS[reason]] = Replies(*sums)
    return found


def by_address_provider_and_class(
    address_ids: Iterable[int] | None, first_day: int, last_day: int
) -> dict[int, dict[str, dict[str, Replies]]]:
    """Return the replies by address, provider (by name, `other` for all that are not known) and class."""
    rows = _days(AddressReasonCount.objects.all(), first_day, last_day)
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    names = dict(Provider.objects.values_list("id", "name"))
    found: dict[int, dict[str, dict[str, Replies]]] = {}
    for (address, provider, reason), sums in _grouped(rows, _REPLIED, "address_id", "provider_id", "reason"):
        name = names.get(provider, OTHER_PROVIDERS)
        of_provider = found.setdefault(address, {}).setdefault(name, {})
        before = of_provider.get(reasons.WORDS[reason], Replies())
        of_provider[reasons.WORDS[reason]] = Replies(*map(sum, zip(before, sums, strict=True)))
    return found


def by_signature(
    address_ids: Iterable[int] | None, first_day: int, last_day: int, *, limit: int = MOST_SIGNATURES
) -> list[SignatureTotal]:
    """Return the kinds of replies to some addresses, most frequent first; address 0 has those of no known address."""
    rows = _days(SignatureCount.objects.all(), first_day, last_day)
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    ranked = sorted(_grouped(rows, _REPLIED, "signature_id"), key=lambda item: (-sum(item[1]), item[0]))[:limit]
    texts = {row.pk: str(row) for row in Signature.objects.filter(pk__in=storage.ids(key[0] for key, _ in ranked))}
    return [SignatureTotal(key[0], texts.get(key[0], OTHER_SIGNATURES), Replies(*sums)) for key, sums in ranked]


def by_rule(address_ids: Iterable[int], grain: Grain, first: int, last: int) -> dict[tuple[int, int], Attempts]:
    """Return the attempts by address and throttling rule (0: the default) over minutes or hours, by number."""
    rows = ThrottleCount.objects.filter(
        grain=grain, bucket__in=range(first, last + 1), address_id__in=storage.ids(address_ids)
    )
    return {(key[0], key[1]): Attempts(*sums) for key, sums in _grouped(rows, _ATTEMPTS, "address_id", "rule_id")}


def latencies(address_ids: Iterable[int] | None, first_day: int, last_day: int) -> dict[int, Attempts]:
    """Return the attempts by the time since acceptance: 0 below a second, n from 2^(n-1) seconds up to 2^n."""
    rows = _days(LatencyCount.objects.all(), first_day, last_day)
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    return {key[0]: Attempts(*sums) for key, sums in sorted(_grouped(rows, _ATTEMPTS, "latency"))}


def _days(rows: QuerySet[Any], first_day: int, last_day: int) -> QuerySet[Any]:
    # Days as a list: each is a range of the primary key.
    return rows.filter(grain=Grain.DAY, bucket__in=range(first_day, last_day + 1))


def _grouped(
    rows: QuerySet[Any], counters: tuple[str, ...], *keys: str
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the sums by keys, without those that are zero in every counter, as a rebuild may leave rows of zeroes."""
    sums = rows.order_by().values(*keys).annotate(**{f"total_{name}": Sum(name) for name in counters})
    found = [(tuple(row[key] for key in keys), tuple(row[f"total_{name}"] for name in counters)) for row in sums]
    return [(key, counts) for key, counts in found if any(counts)]
