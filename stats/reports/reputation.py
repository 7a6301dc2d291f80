"""Acceptance rates of addresses by mailbox provider."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from stats.counts.buckets import Grain
from stats.ledger import storage
from stats.models import AddressCount, Count, Provider, ProviderCount
from stats.reports.queries import COLUMNS, OTHER_PROVIDERS, Counts


def accepted_share(counts: "Counts | Attempts") -> float | None:
    """Return the accepted share of attempts, 0.0 to 1.0; None without attempts.

    An attempt is accepted (sent), put off (deferred) or refused for good (bounced). One message may be put off many times.
    """
    attempts = counts.sent + counts.deferred + counts.bounced
    return counts.sent / attempts if attempts else None


class Attempts(NamedTuple):
    """The outcomes of one day's attempts; a light row, because there is one per address and day."""

    sent: int
    deferred: int
    bounced: int


NOTHING = Attempts(0, 0, 0)
# By address, and by day.
type ByDay = dict[int, dict[int, Attempts]]


def by_address_and_day(address_ids: Iterable[int] | None, first_day: int, last_day: int) -> ByDay:
    """Return each address's attempts on each of some days, for those that have any; None is all addresses. One query."""
    rows = AddressCount.objects.filter(grain=Grain.DAY, bucket__in=range(first_day, last_day + 1))
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    found: ByDay = {}
    for address, day, *attempts in rows.values_list("address_id", "bucket", *Attempts._fields):
        found.setdefault(address, {})[day] = Attempts(*attempts)
    return found


def total(days: Iterable[Attempts]) -> Attempts:
    """Return the attempts of several days."""
    return Attempts(*(sum(column) for column in zip(*days, strict=True))) if days else NOTHING


def by_address_and_provider(
    address_ids: Iterable[int] | None, first_day: int, last_day: int
) -> dict[int, dict[int, Counts]]:
    """Return each address's counts by provider (0: all others) over some days, for those that have any."""
    found: dict[int, dict[int, Counts]] = {}
    grouped = _grouped(ProviderCount, address_ids, first_day, last_day, "address_id", "provider_id")
    for (address, provider), counts in grouped.items():
        found.setdefault(address, {})[provider] = counts
    return found


def by_address_and_named_provider(
    address_ids: Iterable[int], first_day: int, last_day: int
) -> tuple[dict[int, dict[int, Counts]], dict[int, str]]:
    """Return `by_address_and_provider`, and what the providers in it are called. One query."""
    name = Subquery(Provider.objects.filter(pk=OuterRef("provider_id")).values("name")[:1])
    found: dict[int, dict[int, Counts]] = {}
    names = {0: OTHER_PROVIDERS}
    keys = ("address_id", "provider_id", "provider_name")
    rows = ProviderCount.objects.annotate(provider_name=name)
    for (address, provider, called), counts in _sums(rows, address_ids, first_day, last_day, *keys).items():
        found.setdefault(address, {})[provider] = counts
        if called:
            names[provider] = called
    return found, names


def provider_names() -> dict[int, str]:
    """Return the name of each provider, including 0 for all others."""
    return {0: OTHER_PROVIDERS} | dict(Provider.objects.values_list("id", "name"))


def _grouped(
    model: type[Count], address_ids: Iterable[int] | None, first_day: int, last_day: int, *keys: str
) -> dict[tuple[Any, ...], Counts]:
    return _sums(model._default_manager.all(), address_ids, first_day, last_day, *keys)


def _sums(
    counts: QuerySet[Any], address_ids: Iterable[int] | None, first_day: int, last_day: int, *keys: str
) -> dict[tuple[Any, ...], Counts]:
    # Days as a list: each is a range of the primary key.
    rows = counts.filter(grain=Grain.DAY, bucket__in=range(first_day, last_day + 1))
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    sums = rows.values(*keys).annotate(**{f"total_{name}": Sum(name) for name in COLUMNS})
    return {tuple(row[key] for key in keys): Counts(**{name: row[f"total_{name}"] for name in COLUMNS}) for row in sums}
