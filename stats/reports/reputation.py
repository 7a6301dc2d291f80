"""How receivers take what addresses send: the share that they accept, by address and by the recipients' provider."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet, Sum

from stats.counts.buckets import Grain
from stats.ledger import storage
from stats.models import AddressCount, Count, Provider, ProviderCount
from stats.reports.queries import COLUMNS, OTHER_PROVIDERS, Counts


def accepted_share(counts: Counts) -> float | None:
    """Return the part of the attempts that were accepted, 0.0 to 1.0; None where nothing was tried.

    An attempt is accepted (sent), put off (deferred) or refused for good (bounced). One message may be put off many times.
    """
    attempts = counts.sent + counts.deferred + counts.bounced
    return counts.sent / attempts if attempts else None


def by_address(address_ids: Iterable[int] | None, first_day: int, last_day: int) -> dict[int, Counts]:
    """Return each address's counts over some days, for those that have any; None is all addresses."""
    found = _grouped(AddressCount, address_ids, first_day, last_day, "address_id")
    return {address: counts for (address,), counts in found.items()}


def by_address_and_provider(
    address_ids: Iterable[int] | None, first_day: int, last_day: int
) -> dict[int, dict[int, Counts]]:
    """Return each address's counts by provider (0: all others) over some days, for those that have any."""
    found: dict[int, dict[int, Counts]] = {}
    grouped = _grouped(ProviderCount, address_ids, first_day, last_day, "address_id", "provider_id")
    for (address, provider), counts in grouped.items():
        found.setdefault(address, {})[provider] = counts
    return found


def provider_names() -> dict[int, str]:
    """Return what each provider is called, 0 for all others included."""
    return {0: OTHER_PROVIDERS} | dict(Provider.objects.values_list("id", "name"))


def _grouped(
    model: type[Count], address_ids: Iterable[int] | None, first_day: int, last_day: int, *keys: str
) -> dict[tuple[int, ...], Counts]:
    # Days as a list: each is a range of the primary key.
    rows: QuerySet[Any] = model._default_manager.filter(grain=Grain.DAY, bucket__in=range(first_day, last_day + 1))
    if address_ids is not None:
        rows = rows.filter(address_id__in=storage.ids(address_ids))
    sums = rows.values(*keys).annotate(**{f"total_{name}": Sum(name) for name in COLUMNS})
    return {tuple(row[key] for key in keys): Counts(**{name: row[f"total_{name}"] for name in COLUMNS}) for row in sums}
