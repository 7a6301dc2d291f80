"""What needs attention: each a sentence, how bad it is, and the page where it is mended."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import Q, QuerySet
from django.urls import reverse

from ippools.models import IPAddress
from panel.charts import shown_share, slug
from panel.scope import Scope, among
from servers.models import Domain, Organization, Server
from stats import health, refusals, reputation
from stats.queries import Counts

# Of each kind so many are named; the rest is a number and a link to the list.
MOST_NAMED = 4
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
_WRONG = ("missing", "invalid")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at. `level` is `bad` (mail suffers), `warn` (it soon may) or `note` (somebody meant it so)."""

    level: str
    icon: str
    text: str
    detail: str
    url: str


@dataclass(frozen=True, slots=True)
class Load:
    """A pool and how much each of its addresses sends."""

    pool_id: int
    name: str
    addresses: int
    sent: int
    per_address: float
    # Against the median of the pools that send; 0.0 where there is none.
    times_median: float


def of_records(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return what is suspended, paused or wrong in DNS. Four queries, and each reads a few rows."""
    tenants = scope.organization_ids
    organizations = among(Organization.objects.exclude(suspended_at=None), "pk", tenants)
    servers = among(Server.objects.suspended(now).select_related("organization"), "organization_id", tenants)
    failing = Domain.objects.filter(_is_failing(), server__deleted_at=None, outgoing=True).select_related("server")
    domains = among(failing, "server__organization_id", tenants)
    addresses = among(IPAddress.objects.filter(delivery_paused=True), "pk", scope.address_ids)
    items: list[Item] = []
    for organization in _some(organizations, items, "servers.organization", "more suspended organizations"):
        url = change_url("servers.organization", organization.pk)
        text = f"Organization {organization.name} is suspended"
        items.append(Item("warn", "domain_disabled", text, organization.suspension_reason, url))
    for domain in _some(domains.order_by("name", "pk"), items, "servers.domain", "more failing domains"):
        wrong = ", ".join(
            f"{word} {getattr(domain, field)}" for field, word in RECORDS if getattr(domain, field) in _WRONG
        )
        url = change_url("servers.domain", domain.pk)
        items.append(Item("bad", "dns", f"{domain.name} fails its DNS checks", f"{wrong}; server {domain.server}", url))
    for server in _some(servers, items, "servers.server", "more suspended servers"):
        text = f"Server {server.name} of {server.organization} is suspended"
        url = change_url("servers.server", server.pk)
        items.append(Item("warn", "block", text, _suspension(server), url))
    for address in _some(addresses.order_by("pk"), items, "ippools.ipaddress", "more paused addresses"):
        url = change_url("ippools.ipaddress", address.pk)
        items.append(Item("note", "pause_circle", f"{address.ipv4} is paused", "No mail leaves by it", url))
    return items


def of_counting(now: datetime.datetime) -> list[Item]:
    """Return what is wrong with the machinery that counts; for the platform's staff."""
    url = reverse("admin:stats_rolluprun_changelist")
    return [Item("bad", "hourglass_disabled", sentence, "", url) for sentence in health.problems(now)]


def of_refusals(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return whose events were refused today or yesterday, and why."""
    items = []
    for refused in refusals.lately(scope.server_ids, now)[:MOST_NAMED]:
        if refused.server_id is None:
            who, url = "an ingest token or file", reverse("admin:stats_ingesttoken_changelist")
        elif refused.server is None:
            continue
        else:
            who, url = refused.server, change_url("servers.server", refused.server_id)
        reasons = ", ".join(f"{number:,} × {code}" for code, number in list(refused.codes.items())[:3])
        detail = f"{reasons}, today and yesterday; the answers of /api/v1/events say which"
        items.append(Item("warn", "report", f"{refused.number:,} events of {who} were refused", detail, url))
    return items


def of_reputation(
    cells: dict[int, dict[int, Counts]], labels: dict[int, str], providers: dict[int, str], days: int
) -> list[Item]:
    """Return the addresses whose mail a provider pushes back, worst first."""
    bad = []
    for address, row in cells.items():
        for provider, counts in row.items():
            share = reputation.accepted_share(counts)
            tried = counts.sent + counts.deferred + counts.bounced
            if share is not None and share < BAD_SHARE and tried >= LEAST_ATTEMPTS and address in labels:
                bad.append((share, address, provider, counts))
    bad.sort(key=lambda each: each[:3])
    items = []
    for _, address, provider, counts in bad[:MOST_NAMED]:
        name = providers.get(provider, "others")
        text = f"{labels[address]}: {name} accepts {shown_share(counts)['text']} of the attempts"
        detail = f"{counts.deferred:,} deferred and {counts.bounced:,} bounced in {days} days"
        items.append(
            Item("bad", "trending_down", text, detail, f"{change_url('ippools.ipaddress', address)}#{slug(name)}")
        )
    return items


def of_loads(loads: Sequence[Load]) -> list[Item]:
    """Return the pools whose addresses carry far more than those of the others."""
    items = []
    for load in sorted(loads, key=lambda each: -each.times_median)[:MOST_NAMED]:
        if load.times_median >= UNEVEN:
            text = f"Pool {load.name} is overloaded: {load.times_median:.1f} times the median load"
            detail = (
                f"{load.per_address:,.0f} messages for each of {load.addresses} addresses: add some, or move servers"
            )
            items.append(Item("bad", "balance", text, detail, change_url("ippools.ippool", load.pool_id)))
    return items


def change_url(model: str, pk: int) -> str:
    """Return where a record is looked at and changed; `model` is `app.model`."""
    return reverse(f"admin:{model.replace('.', '_')}_change", args=[quote(pk)])


def _suspension(server: Server) -> str:
    """Return why the server is suspended, and until when, as far as somebody said."""
    until = f"until {server.suspended_until:%-d %B}" if server.suspended_until else ""
    return "; ".join(filter(None, (server.suspension_reason.rstrip("."), until)))


def _is_failing() -> Q:
    condition = Q()
    for field, _ in RECORDS[:4]:
        condition |= Q(**{f"{field}__in": _WRONG})
    return condition


def _some(rows: QuerySet[Any], items: list[Item], model: str, words: str) -> list[Any]:
    """Return the first few; where there are more, an item says so."""
    found = list(rows[: MOST_NAMED + 1])
    if len(found) > MOST_NAMED:
        url = reverse(f"admin:{model.replace('.', '_')}_changelist")
        items.append(Item("note", "more_horiz", f"There are {words}", "", url))
    return found[:MOST_NAMED]
