"""Acceptance rates of addresses by mailbox provider."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import OuterRef, Subquery

from stats.counts.buckets import Grain
from stats.ledger.database import IS_APART
from stats.models import AddressCount, Provider, ProviderCount
from stats.reports.queries import OTHER_PROVIDERS
from stats.reports.reader import Counts, rows_of, sums_of


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
    rows = rows_of(AddressCount, Grain.DAY, range(first_day, last_day + 1), address_id=address_ids)
    found: ByDay = {}
    for address, day, *attempts in rows.values_list("address_id", "bucket", *Attempts._fields):
        found.setdefault(address, {})[day] = Attempts(*attempts)
    return found


def total(days: Iterable[Attempts]) -> Attempts:
    """Return the attempts of several days."""
    return Attempts(*(sum(column) for column in zip(*days, strict=True))) if days else NOTHING


def by_address_and_provider(
    address_ids: Iterable[int] | None, first: int, last: int, grain: Grain = Grain.DAY
) -> dict[int, dict[int, Counts]]:
    """Return each address's counts by provider (0: all others) over some days (or hours of the last two days), for those that
    have any. One query."""
    found: dict[int, dict[int, Counts]] = {}
    rows = rows_of(ProviderCount, grain, range(first, last + 1), address_id=address_ids)
    for (address, provider), counts in sums_of(rows, "address_id", "provider_id").items():
        found.setdefault(address, {})[provider] = counts
    return found


def by_address_and_named_provider(
    address_ids: Iterable[int], first_day: int, last_day: int
) -> tuple[dict[int, dict[int, Counts]], dict[int, str]]:
    """Return `by_address_and_provider`, and what the providers in it are called. One query, two where the counts are in a
    database of their own."""
    if IS_APART:
        return by_address_and_provider(address_ids, first_day, last_day), provider_names()
    name = Subquery(Provider.objects.filter(pk=OuterRef("provider_id")).values("name")[:1])
    found: dict[int, dict[int, Counts]] = {}
    names = {0: OTHER_PROVIDERS}
    keys = ("address_id", "provider_id", "provider_name")
    rows = rows_of(ProviderCount, Grain.DAY, range(first_day, last_day + 1), address_id=address_ids)
    for (address, provider, called), counts in sums_of(rows.annotate(provider_name=name), *keys).items():
        found.setdefault(address, {})[provider] = counts
        if called:
            names[provider] = called
    return found, names


def provider_names() -> dict[int, str]:
    """Return the name of each provider, including 0 for all others."""
    return {0: OTHER_PROVIDERS} | dict(Provider.objects.values_list("id", "name"))
