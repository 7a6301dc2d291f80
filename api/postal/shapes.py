"""Postal's words: how records and counts look on the wire."""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from typing import Any

from api.postal.pool_usage import PoolUsage
from ippools.models import IPPool
from servers.dns_records import DNSRecord
from servers.models import Domain, Server
from stats.reports.queries import Detailed, Point, Sent

MODES = {Server.Mode.LIVE.value: "Live", Server.Mode.DEVELOPMENT.value: "Development"}
MODES_BY_WORD = {word: mode for mode, word in MODES.items()}
STATUSES = {None: None, "ok": "OK", "missing": "Missing", "invalid": "Invalid"}


def timestamp(at: datetime.datetime | None) -> str | None:
    """Return a time in UTC with milliseconds, as `created_at` has it."""
    if at is None:
        return None
    return at.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def whole_seconds(at: datetime.datetime) -> str:
    """Return a time in UTC without milliseconds, as statistics have it."""
    return at.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def sent(counts: Sent) -> dict[str, int]:
    """Return the basic stats of a server or domain."""
    return {"messages_sent_today": counts.today, "messages_sent_this_month": counts.this_month}


# --- servers ----------------------------------------------------------------------------------------------------------

# The columns of a list row, in the page's order.
SERVER_COLUMNS = (
    "uuid",
    "name",
    "permalink",
    "mode",
    "suspended_at",
    "suspended_until",
    "suspension_reason",
    "privacy_mode",
    "ip_pool_id",
    "created_at",
    "updated_at",
    "domains_count",
    "credentials_count",
    "webhooks_count",
    "routes_count",
)


def server_row(row: Sequence[Any], now: datetime.datetime) -> dict[str, object]:
    """Return a row of servers/list from the values of SERVER_COLUMNS."""
    uuid_, name, permalink, mode, suspended_at, suspended_until, _, privacy_mode, pool_id, created, updated, *counts = (
        row
    )
    return {
        "uuid": str(uuid_),
        "name": name,
        "permalink": permalink,
        "mode": MODES[mode],
        "suspended": suspended_at is not None and (suspended_until is None or suspended_until > now),
        "privacy_mode": privacy_mode,
        "ip_pool_id": pool_id,
        "created_at": timestamp(created),
        "updated_at": timestamp(updated),
    } | dict(zip(SERVER_COLUMNS[-4:], counts, strict=True))


def server_details(row: Sequence[Any], organization: dict[str, object], now: datetime.datetime) -> dict[str, object]:
    """Return the server of servers/show without its optional parts: the list's row, why it is suspended, whose it is."""
    details: dict[str, object] = {}
    for key, value in server_row(row, now).items():
        details[key] = value
        if key == "suspended":
            reason = row[SERVER_COLUMNS.index("suspension_reason")]
            details["suspension_reason"] = reason if value and reason else None
    return details | {"organization": organization}


def organization(uuid_: uuid.UUID, name: str, permalink: str) -> dict[str, object]:
    """Return an organization as servers carry it."""
    return {"uuid": str(uuid_), "name": name, "permalink": permalink}


def detailed(stats: Detailed) -> dict[str, object]:
    """Return days and hours; `outgoing` is what was sent."""
    return {"daily": [_point(each) for each in stats.daily], "hourly": [_point(each) for each in stats.hourly]}


def _point(point: Point) -> dict[str, object]:
    counts = point.counts
    return {
        "date": whole_seconds(point.at),
        "stats": {
            "incoming": counts.incoming,
            "outgoing": counts.sent,
            "bounces": counts.bounced,
            "spam": counts.spam,
            "held": counts.held,
        },
    }


# --- domains ----------------------------------------------------------------------------------------------------------

DOMAIN_COLUMNS = (
    "uuid",
    "name",
    "verified_at",
    "spf_status",
    "dkim_status",
    "mx_status",
    "return_path_status",
    "outgoing",
    "incoming",
)


def domain_row(row: Sequence[Any], counts: Sent | None) -> dict[str, object]:
    """Return a domain of servers/show from the values of DOMAIN_COLUMNS; without counts, without `stats`."""
    uuid_, name, verified_at, spf, dkim, mx, return_path, outgoing, incoming = row
    domain = {
        "uuid": str(uuid_),
        "name": name,
        "verified": verified_at is not None,
        "spf_status": STATUSES[spf],
        "dkim_status": STATUSES[dkim],
        "mx_status": STATUSES[mx],
        "return_path_status": STATUSES[return_path],
        "outgoing": outgoing,
        "incoming": incoming,
    }
    return domain if counts is None else domain | {"stats": sent(counts)}


LISTED_DOMAIN_COLUMNS = (
    "uuid",
    "name",
    "verified_at",
    "spf_status",
    "dkim_status",
    "mx_status",
    "return_path_status",
    "dmarc_status",
)


def listed_domain(row: Sequence[Any], counts: Sent | None) -> dict[str, object]:
    """Return a row of domains/list from the values of LISTED_DOMAIN_COLUMNS; without counts, without `stats`."""
    uuid_, name, verified_at, *statuses = row
    domain: dict[str, object] = {"uuid": str(uuid_), "name": name, "verified": verified_at is not None}
    for column, status in zip(LISTED_DOMAIN_COLUMNS[3:], statuses, strict=True):
        domain[column] = STATUSES[status]
    return domain if counts is None else domain | {"stats": sent(counts)}


def dns_checks(domain: Domain) -> dict[str, dict[str, str | None]]:
    """Return what the last look at DNS found; the error says what to change."""
    return {
        check: {
            "status": STATUSES[getattr(domain, f"{check}_status")],
            "error": getattr(domain, f"{check}_error") or None,
        }
        for check in ("spf", "dkim", "return_path", "mx", "dmarc")
    }


def dns_records(records: Iterable[DNSRecord]) -> list[dict[str, object]]:
    """Return the records to publish: `short_name` where it is not the domain itself, `priority` for MX."""
    rows = []
    for each in records:
        row: dict[str, object] = {"type": each.type, "name": each.name}
        if each.short_name != "@":
            row["short_name"] = each.short_name
        row |= {"value": each.value, "purpose": each.purpose}
        if each.priority is not None:
            row["priority"] = each.priority
        rows.append(row)
    return rows


# --- pools ------------------------------------------------------------------------------------------------------------


def pool_head(pool: PoolUsage) -> dict[str, object]:
    """Return what every answer about an existing pool begins with."""
    return {
        "id": pool.id,
        "uuid": str(pool.uuid),
        "name": pool.name,
        "default": pool.is_default,
        "created_at": timestamp(pool.created_at),
    }


def address_row(ipv4: str, ipv6: str | None, hostname: str, priority: int) -> dict[str, object]:
    """Return an address without its id. Postal: IPv6 is written out in full, as the page has it."""
    exploded = None if ipv6 is None else IPv6Address(ipv6).exploded
    return {"ipv4": ipv4, "ipv6": exploded, "hostname": hostname, "priority": priority}


def pool_row(pool: PoolUsage, *, with_stats: bool) -> dict[str, object]:
    """Return a row of servers/ip_pools."""
    rows: list[dict[str, object]] = []
    for id_, ipv4, ipv6, hostname, priority in pool.addresses:
        row = {"id": id_} | address_row(ipv4, ipv6, hostname, priority)
        if with_stats:
            row["messages_sent"] = pool.sent[id_]
        rows.append(row)
    shape = pool_head(pool) | {"ip_addresses": rows}
    return shape | {"stats": pool_stats(pool)} if with_stats else shape


def allocated_addresses(pools: Iterable[PoolUsage]) -> list[dict[str, object]]:
    """Return each address of some pools once, by id, with the names of the pools that it is in."""
    names: dict[tuple[int, str, str | None, str, int], list[str]] = {}
    sent: dict[int, int] = {}
    for pool in pools:
        sent |= pool.sent
        for address in pool.addresses:
            names.setdefault(address, []).append(pool.name)
    return [
        address_row(*address[1:]) | {"ip_pools": names[address], "emails_sent": sent[address[0]]}
        for address in sorted(names)
    ]


def pool_stats(pool: PoolUsage) -> dict[str, object]:
    """Return the sums over a pool's addresses."""
    total, count = pool.total, len(pool.addresses)
    average = round(total / count, 2) if count else 0.0
    return {"total_messages_sent": total, "ip_count": count, "average_per_ip": average}


def pool_mention(pool: PoolUsage | IPPool) -> dict[str, object]:
    """Return a pool as other records mention it."""
    return {"id": pool.id, "uuid": str(pool.uuid), "name": pool.name}
