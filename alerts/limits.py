"""Conditions of mail that waits: suspended servers and those near to a send limit, addresses that are paused or back off."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import formats, timezone

from alerts.attention import Item
from alerts.links import change_url
from alerts.scope import Scope, among
from ippools.models import AddressCap, IPAddress
from servers import send_limits
from servers.models import SendLimitMark, Server
from servers.send_limits import Level, Usage
from stats import send_limits as counted
from throttling.limits import CapKind


def of_servers(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return the suspended servers, and those that have nearly reached a send limit. One query, three if there are such."""
    marks = SendLimitMark.objects.active(now).filter(server=OuterRef("pk"))
    suspended = Q(suspended_at__isnull=False) & (Q(suspended_until=None) | Q(suspended_until__gt=now))
    rows = Server.objects.living().filter(suspended | Exists(marks)).select_related("organization")
    # Both kinds at once, a few rows of each, and how many there are.
    kind = Case(When(suspended, then=Value("suspended")), default=Value("limited"))
    few = _few(among(rows, "organization_id", scope.organization_ids).annotate(shown_as=kind), scope.named)
    found: dict[str, list[Any]] = {"suspended": [], "limited": []}
    for server in few:
        found[server.shown_as].append(server)
    return [*_suspended(found["suspended"], scope.named), *_limited(found["limited"], now, scope.named)]


def of_addresses(scope: Scope, now: datetime.datetime) -> list[Item]:
    """Return the addresses that are paused, and those whose rate a program has reduced. One query, three if there are such."""
    reduced = AddressCap.objects.active(now).filter(kind=CapKind.THROTTLE_PROGRAM.value)
    rows = IPAddress.objects.filter(Q(delivery_paused=True) | Exists(reduced.filter(address=OuterRef("pk"))))
    kind = Case(When(delivery_paused=True, then=Value("paused")), default=Value("reduced"))
    found: dict[str, list[Any]] = {"paused": [], "reduced": []}
    for address in _few(among(rows, "pk", scope.address_ids).annotate(shown_as=kind), scope.named):
        found[address.shown_as].append(address)
    return [*_reduced(found["reduced"], reduced, scope.named), *_paused(found["paused"], scope.named)]


def _few(rows: Any, named: int) -> Any:
    """Return a few rows of each `shown_as`, with how many there are of it: one query for both."""
    return (
        rows.annotate(
            of_all=Window(Count("pk"), partition_by=[F("shown_as")]),
            place=Window(RowNumber(), partition_by=[F("shown_as")], order_by="pk"),
        )
        .filter(place__lte=named)
        .order_by("pk")
    )


def _paused(addresses: Sequence[Any], named: int) -> list[Item]:
    if addresses and addresses[0].of_all > named:
        url = f"{reverse('admin:ippools_ipaddress_changelist')}?delivery_paused__exact=1"
        return [Item("note", "address_paused", f"{addresses[0].of_all:,} addresses are paused", "", url, is_group=True)]
    return [
        Item(
            "note",
            "address_paused",
            f"{address.ipv4} is paused",
            _pause(address),
            change_url("ippools.ipaddress", address.pk),
        )
        for address in addresses
    ]


def _reduced(addresses: Sequence[Any], caps: QuerySet[AddressCap], named: int) -> list[Item]:
    if not addresses:
        return []
    if addresses[0].of_all > named:
        text = f"{addresses[0].of_all:,} addresses back off: receivers push their mail back"
        return [Item("warn", "back_off", text, "", reverse("admin:ippools_ipaddress_changelist"), is_group=True)]
    newest: dict[int, AddressCap] = {}
    rows = caps.filter(address__in=[each.pk for each in addresses]).select_related("address")
    for cap in rows.prefetch_related("rule__domains").order_by("began_at", "pk"):
        newest[cap.address_id] = cap
    return [
        Item(
            "warn",
            "back_off",
            f"{cap.address.ipv4} backs off for {recipients_of(cap)} since"
            f" {formats.localize(timezone.localtime(cap.began_at))}",
            cap.reason,
            change_url("ippools.ipaddress", cap.address_id),
        )
        for cap in newest.values()
    ]


def words(level: Level | None, usage: Usage) -> str:
    """Return in a few words how a limit stands: "reached: mail deferred until 14:00 UTC", "at 92 %"."""
    if level == Level.EXCEEDED:
        return f"reached: mail deferred until {send_limits.clock(usage.until)}"
    return f"at {usage.percent}\N{NO-BREAK SPACE}%"


def _suspended(servers: Sequence[Any], named: int) -> list[Item]:
    if servers and servers[0].of_all > named:
        url = f"{reverse('admin:servers_server_changelist')}?state=suspended"
        return [
            Item("warn", "server_suspended", f"{servers[0].of_all:,} servers are suspended", "", url, is_group=True)
        ]
    return [
        Item(
            "warn",
            "server_suspended",
            f"Server {server.name} of {server.organization} is suspended",
            _suspension(server),
            change_url("servers.server", server.pk),
        )
        for server in servers
    ]


def _limited(servers: Sequence[Any], now: datetime.datetime, named: int) -> list[Item]:
    if not servers:
        return []
    if servers[0].of_all > named:
        text = f"{servers[0].of_all:,} servers have reached a send limit, or nearly"
        return [Item("warn", "send_limit", text, "", reverse("admin:servers_server_changelist"), is_group=True)]
    used = counted.usage(servers, now)
    marks = send_limits.marked(at=now).filter(server__in=[server.pk for server in servers])
    telling: dict[int, SendLimitMark] = {}
    # The last of the reached ones, else the last of the others.
    for mark in sorted(marks, key=lambda each: (each.level != Level.EXCEEDED, -each.until.timestamp())):
        telling.setdefault(mark.server_id, mark)
    return [_item(telling[server.pk], used.get(server.pk, [])) for server in servers if server.pk in telling]


def _item(mark: SendLimitMark, used: Sequence[Usage]) -> Item:
    usage = next((each for each in used if each.period == mark.period), None)
    usage = usage or Usage(mark.period, mark.limit, mark.sent, mark.until)
    level = Level(mark.level)
    return Item(
        "bad" if level == Level.EXCEEDED else "warn",
        "send_limit",
        f"Server {mark.server.name} of {mark.server.organization}: send limit {words(level, usage)}",
        f"{usage.sent:,} of {usage.limit:,} messages {mark.get_period_display()} sent",
        change_url("servers.server", mark.server_id),
    )


def _suspension(server: Server) -> str:
    """Return why the server is suspended, and until when, as far as somebody said."""
    until = f"until {server.suspended_until:%-d %B}" if server.suspended_until else ""
    return "; ".join(filter(None, (server.suspension_reason.rstrip("."), until)))


def _pause(address: IPAddress) -> str:
    """Return why no mail leaves by the address, and until when, as far as somebody said."""
    until = f"until {formats.localize(timezone.localtime(address.paused_until))}" if address.paused_until else ""
    return "; ".join(filter(None, (address.pause_reason.rstrip("."), until))) or "It sends no mail"


def recipients_of(cap: AddressCap) -> str:
    """Return to whom mail is bounded."""
    if cap.domains:
        return ", ".join(cap.domains)
    if cap.is_default:
        return "domains that no rule matches"
    return ", ".join(each.pattern for each in cap.rule.domains.all()) if cap.rule is not None else "everybody"
