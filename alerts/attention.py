"""Conditions of records and counts: a sentence, a severity, and a link to the page that resolves it."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Window
from django.urls import reverse

from alerts.links import change_url, slug
from alerts.scope import Scope, among
from core.alerts import KEY_LENGTH
from core.texts import counted
from ippools.models import IPAddress, IPPoolMember
from servers.models import Domain, Organization, Server
from stats.intake import refusals
from stats.reports import health, reputation
from stats.reports.reader import ZERO, Counts

# An address with fewer attempts at a provider says nothing about what the provider thinks.
LEAST_ATTEMPTS = 100
BAD_SHARE = 0.7
# A pool with this many times the messages per address of the median pool is named.
UNEVEN = 3.0
RECORDS = (
    ("spf_status", "SPF"),
    ("dkim_status", "DKIM"),
    ("mx_status", "MX"),
    ("return_path_status", "return path"),
    ("dmarc_status", "DMARC"),
)
# Of an address: the columns, and what the names are called.
IDENTITY = (("ptr", "PTR"), ("fcrdns", "FCrDNS"), ("helo", "HELO name"))
_WRONG = ("missing", "invalid")


@dataclass(frozen=True, slots=True)
class Item:
    """What a condition found. `level` is `bad` (mail is affected), `warn` (it soon may be) or `note` (intended by an operator).

    `condition` is a name of `alerts.conditions.CONDITIONS`; `is_group`: it stands for more records than are named.
    """

    level: str
    condition: str
    text: str
    detail: str
    url: str
    is_group: bool = False

    @property
    def key(self) -> str:
        """What identifies it from one look to the next: its subject, not the numbers in its text."""
        return f"{self.condition}:{self.url}"[:KEY_LENGTH]


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


def of_records(scope: Scope) -> list[Item]:
    """Return which organizations are suspended, and what is wrong in DNS. Two queries, and each reads a few rows."""
    tenants = scope.organization_ids
    organizations = among(Organization.objects.exclude(suspended_at=None), "pk", tenants)
    failing = Domain.objects.filter(failing_domains()).select_related("server")
    domains = among(failing, "server__organization_id", tenants)
    items: list[Item] = []
    many = AlertGroup(
        "warn",
        "organization_suspended",
        "organizations are suspended",
        "servers.organization",
        "suspended_at__isempty=0",
    )
    for organization in _some(organizations, items, many, scope.named):
        url = change_url("servers.organization", organization.pk)
        text = f"Organization {organization.name} is suspended"
        items.append(Item("warn", "organization_suspended", text, organization.suspension_reason, url))
    many = AlertGroup("bad", "domain_dns", "domains fail their DNS checks", "servers.domain", "checks=failing")
    for domain in _some(domains.order_by("name", "pk"), items, many, scope.named):
        wrong = ", ".join(
            f"{word} {getattr(domain, field)}" for field, word in RECORDS if getattr(domain, field) in _WRONG
        )
        url = change_url("servers.domain", domain.pk)
        items.append(
            Item("bad", "domain_dns", f"{domain.name} fails its DNS checks", f"{wrong}; server {domain.server}", url)
        )
    return items


def of_silent_servers(scope: Scope) -> list[Item]:
    """Return alerts on pools of live servers that cannot send, and on live servers without a pool, by customer. One query."""
    sending = IPPoolMember.objects.filter(pool=OuterRef("ip_pool"), ip_address__delivery_paused=False)
    live = Server.objects.living().filter(mode=Server.Mode.LIVE)
    silent = among(live, "organization_id", scope.organization_ids).filter(Q(ip_pool=None) | ~Exists(sending))
    columns = ("ip_pool_id", "ip_pool__name", "organization__name", "organization_id")
    pools: dict[tuple[str, int], list[tuple[str, int]]] = {}
    poolless: list[tuple[str, int, int]] = []
    for pool_id, pool, customer, customer_id, number in (
        silent.order_by().values_list(*columns).annotate(number=Count("pk")).order_by("-number", "organization__name")
    ):
        if pool_id is None:
            poolless.append((customer, customer_id, number))
        else:
            pools.setdefault((pool, pool_id), []).append((customer, number))
    return [*_of_pools(pools, scope.named), *_of_poolless(poolless, scope.named)]


def _of_pools(pools: dict[tuple[str, int], list[tuple[str, int]]], named: int) -> list[Item]:
    if len(pools) > named:
        servers = sum(number for customers in pools.values() for _, number in customers)
        text = f"No address of {len(pools)} pools sends: {counted(servers, 'server sends', 'servers send')} nothing"
        url = reverse("admin:ippools_ippool_changelist") + "?sends=used"
        return [Item("bad", "pool_silent", text, "Their addresses are paused, or they have none", url, is_group=True)]
    return [
        Item(
            "bad",
            "pool_silent",
            f"No address of {name} sends: {_idle(customers)}",
            "Its addresses are paused, or it has none",
            change_url("ippools.ippool", pool_id),
        )
        for (name, pool_id), customers in sorted(pools.items())
    ]


def _of_poolless(customers: list[tuple[str, int, int]], named: int) -> list[Item]:
    url = reverse("admin:servers_server_changelist") + "?ip_pool__isempty=1&mode__exact=live"
    detail = "Mail that no pool rule matches is not sent"
    if len(customers) > named:
        servers = sum(number for *_, number in customers)
        text = f"{counted(servers, 'live server', 'live servers')} of {len(customers)} customers have no IP pool"
        return [Item("bad", "server_without_pool", text, detail, url, is_group=True)]
    return [
        Item(
            "bad",
            "server_without_pool",
            f"{_possessive(customer)} {counted(number, 'live server has', 'live servers have')} no IP pool",
            detail,
            f"{url}&organization__id__exact={customer_id}",
        )
        for customer, customer_id, number in customers
    ]


def _idle(customers: Sequence[tuple[str, int]]) -> str:
    """Return a phrase such as "Northwind’s 2 servers and Acme’s 1 server send nothing"."""
    named = [f"{_possessive(name)} {counted(number, 'server', 'servers')}" for name, number in customers[:2]]
    if len(customers) > 2:
        named.append(counted(len(customers) - 2, "other customer", "other customers"))
    one = len(customers) == 1 and customers[0][1] == 1
    return f"{', '.join(named[:-1])}{' and ' if named[:-1] else ''}{named[-1]} {'sends' if one else 'send'} nothing"


def _possessive(name: str) -> str:
    return f"{name}’" if name.endswith("s") else f"{name}’s"


def of_counting(now: datetime.datetime) -> list[Item]:
    """Return alerts on the statistics; for the platform's staff."""
    url = reverse("admin:stats_rolluprun_changelist")
    return [Item("bad", "statistics", sentence, "", url) for sentence in health.problems(now)]


def of_refusals(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return alerts on events refused today or yesterday, with the reasons."""
    items = []
    for refused in refusals.lately(scope.server_ids, now)[: scope.named]:
        if refused.server_id is None:
            who, url = "an ingest token or file", reverse("admin:stats_ingesttoken_changelist")
        elif refused.server is None:
            continue
        else:
            who, url = refused.server, change_url("servers.server", refused.server_id)
        reasons = ", ".join(f"{number:,} × {code}" for code, number in list(refused.codes.items())[:3])
        detail = f"{reasons}, today and yesterday; the answers of /api/v1/events say which"
        items.append(Item("warn", "events_refused", f"{refused.number:,} events of {who} were refused", detail, url))
    return items


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """Facts of an address with delivery problems, besides its counts: its IPv4 address, and its wrong DNS names."""

    ipv4: str
    wrong_names: tuple[str, ...] = ()


def known_addresses(ids: Sequence[int]) -> dict[int, AddressFacts]:
    """Return the facts of these addresses, by id; deleted ones are omitted. One query."""
    columns = [f"identity__{name}_status" for name, _ in IDENTITY]
    rows = IPAddress.objects.filter(pk__in=ids).values_list("pk", "ipv4", *columns)
    return {
        pk: AddressFacts(
            ipv4,
            tuple(f"{word} {status}" for (_, word), status in zip(IDENTITY, found, strict=True) if status in _WRONG),
        )
        for pk, ipv4, *found in rows
    }


def of_reputation(
    cells: dict[int, dict[int, Counts]],
    addresses: dict[int, AddressFacts],
    providers: dict[int, str],
    days: int,
    named: int,
) -> list[Item]:
    """Return alerts on addresses with low acceptance by a provider, worst first, with hints on the cause."""
    bad = []
    for address, row in cells.items():
        for provider, counts in row.items():
            share = reputation.accepted_share(counts)
            if share is not None and share < BAD_SHARE and _tried(counts) >= LEAST_ATTEMPTS and address in addresses:
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
        items.append(
            Item("bad", "address_refused", text, detail, f"{change_url('ippools.ipaddress', address)}#{slug(name)}")
        )
    return items


def _percent(counts: Counts) -> str:
    # A line may not end between the number and its sign.
    share = reputation.accepted_share(counts) or 0.0
    return f"{int(share * 100)}\N{NO-BREAK SPACE}%"


def _tried(counts: Counts) -> int:
    return counts.sent + counts.deferred + counts.bounced


def of_loads(loads: Sequence[Load], days: int, named: int) -> list[Item]:
    """Return alerts on pools whose addresses have far more load than others."""
    items = []
    for load in sorted(loads, key=lambda each: -each.times_median)[:named]:
        if load.times_median >= UNEVEN:
            text = f"Pool {load.name} is overloaded: {load.times_median:.1f} times the median load"
            number = counted(load.addresses, "address", "addresses")
            detail = (
                f"Each of its {number} sent" if load.addresses > 1 else "Its one address sent"
            ) + f" {load.per_address:,.0f} messages in {days} days: add addresses, or move servers to other pools"
            items.append(Item("bad", "pool_overloaded", text, detail, change_url("ippools.ippool", load.pool_id)))
    return items


def failing_domains() -> Q:
    """Return the condition of domains that send and fail a check."""
    condition = Q()
    for field, _ in RECORDS[:4]:
        condition |= Q(**{f"{field}__in": _WRONG})
    return condition & Q(server__deleted_at=None, outgoing=True)


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """One line for many alerts of a kind: their number, and a link to a list of these records."""

    level: str
    condition: str
    words: str
    model: str
    query: str


def _some(rows: QuerySet[Any], items: list[Item], many: AlertGroup, named: int) -> list[Any]:
    """Return the records if they are few; otherwise none, and add one alert with their number."""
    # Counted with the rows, so that it is one query however many there are.
    found = list(rows.annotate(of_all=Window(Count("pk")))[: named + 1])
    if len(found) <= named:
        return found
    url = f"{reverse(f'admin:{many.model.replace(".", "_")}_changelist')}?{many.query}"
    items.append(Item(many.level, many.condition, f"{found[0].of_all:,} {many.words}", "", url, is_group=True))
    return []
