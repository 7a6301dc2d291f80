"""Conditions of counts over days: addresses that providers refuse, loads of pools, refused events, the counting itself."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from alerts.held import NOTHING_HELD, Held
from alerts.items import Item
from alerts.links import change_url, slug
from alerts.scope import Scope
from alerts.topics.addresses import IDENTITY, wrong_names
from core.texts import counted
from ippools.models import IPAddress
from stats.intake import refusals
from stats.reports import health, reputation
from stats.reports.reader import ZERO, Counts

# An address with fewer attempts at a provider says nothing about what the provider thinks.
LEAST_ATTEMPTS = 100
# Of the attempts, the share below which a provider's acceptance is told of, and that from which on it no longer is.
BAD_SHARE, GOOD_SHARE = 0.7, 0.75
# A pool with this many times the messages per address of the median pool is named, until it has fewer than the second.
UNEVEN, EVEN = 3.0, 2.5


@dataclass(frozen=True, slots=True)
class Load:
    """A pool and its load per address."""

    pool_id: int
    name: str
    addresses: int
    sent: int
    per_address: float
    # Against the median of the pools that send; 0.0 where there is none.
    times_median: float


def of_counting(now: datetime.datetime) -> list[Item]:
    """Return alerts on the statistics; for the platform's staff."""
    url = reverse("admin:stats_rolluprun_changelist")
    return [Item("bad", "statistics", sentence, "", url) for sentence in health.problems(now)]


def of_refusals(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return alerts on events refused today or yesterday, with the reasons."""
    items = []
    for refused in refusals.lately(scope.server_ids, now)[: scope.named]:
        url = reverse("admin:refused")
        if refused.server_id is None:
            who = "an ingest token or file"
        elif refused.server is None:
            continue
        else:
            who, url = refused.server, f"{url}?server={refused.server_id}"
        reasons = ", ".join(f"{number:,} × {code}" for code, number in list(refused.codes.items())[:3])
        detail = f"{reasons}, today and yesterday"
        items.append(Item("warn", "events_refused", f"{refused.number:,} events of {who} were refused", detail, url))
    return items


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """Facts of an address with delivery problems, besides its counts: its IPv4 address, and its wrong DNS names."""

    ipv4: str
    wrong_names: tuple[str, ...] = ()


def known_addresses(ids: Sequence[int]) -> dict[int, AddressFacts]:
    """Return the facts of these addresses, by id; deleted ones are omitted. One query."""
    columns = [f"{name}_status" for name, _ in IDENTITY]
    rows = IPAddress.objects.filter(pk__in=ids).values_list("pk", "ipv4", *(f"identity__{each}" for each in columns))
    return {pk: AddressFacts(ipv4, wrong_names(dict(zip(columns, found, strict=True)))) for pk, ipv4, *found in rows}


def of_reputation(
    cells: dict[int, dict[int, Counts]],
    addresses: dict[int, AddressFacts],
    providers: dict[int, str],
    days: int,
    named: int,
    held: Held = NOTHING_HELD,
) -> list[Item]:
    """Return alerts on addresses with low acceptance by a provider, worst first, with hints on the cause."""
    bad = []
    for address, row in cells.items():
        for provider, counts in row.items():
            share = reputation.accepted_share(counts)
            if share is None or _tried(counts) < LEAST_ATTEMPTS or address not in addresses:
                continue
            is_open = held.level("address_refused", _cell_url(address, providers.get(provider, "others")))
            if share < (GOOD_SHARE if is_open else BAD_SHARE):
                bad.append((share, address, provider, counts))
    bad.sort(key=lambda each: each[:3])
    items = []
    for _, address, provider, counts in bad[:named]:
        name, known = providers.get(provider, "others"), addresses[address]
        text = f"Delivery problems of address {known.ipv4}: {name} accepts {_percent(counts)} of the attempts"
        others = sum((each for other, each in cells[address].items() if other != provider), ZERO)
        detail = f"{counts.deferred:,} deferred and {counts.bounced:,} bounced in {days} days"
        if _tried(others) >= LEAST_ATTEMPTS:
            detail += f"; the other providers accept {_percent(others)}"
        if known.wrong_names:
            detail += f". In DNS: {', '.join(known.wrong_names)}"
        items.append(Item("bad", "address_refused", text, detail, _cell_url(address, name)))
    return items


def _cell_url(address: int, provider: str) -> str:
    return f"{change_url('ippools.ipaddress', address)}#{slug(provider)}"


def _percent(counts: Counts) -> str:
    # A line may not end between the number and its sign.
    share = reputation.accepted_share(counts) or 0.0
    return f"{int(share * 100)}\N{NO-BREAK SPACE}%"


def _tried(counts: Counts) -> int:
    return counts.sent + counts.deferred + counts.bounced


def of_loads(loads: Sequence[Load], days: int, named: int, held: Held = NOTHING_HELD) -> list[Item]:
    """Return alerts on pools whose addresses have far more load than others."""
    items = []
    for load in sorted(loads, key=lambda each: -each.times_median)[:named]:
        url = change_url("ippools.ippool", load.pool_id)
        if load.times_median >= (EVEN if held.level("pool_overloaded", url) else UNEVEN):
            text = f"Pool {load.name} is overloaded: {load.times_median:.1f} times the median load"
            number = counted(load.addresses, "address", "addresses")
            detail = (
                f"Each of its {number} sent" if load.addresses > 1 else "Its one address sent"
            ) + f" {load.per_address:,.0f} messages in {days} days: add addresses, or move servers to other pools"
            items.append(Item("bad", "pool_overloaded", text, detail, url))
    return items
