"""Pools that live servers use and none of whose addresses sends, and live servers without a pool, by customer."""

from collections.abc import Sequence

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from alerts.asking import Answers, Question
from alerts.items import Group, Item
from alerts.links import change_url
from alerts.scope import among
from alerts.topics.look import Look
from core.texts import counted
from ippools.models import IPPoolMember
from servers.models import Server

_SILENT = Group("bad", "pool_silent", "pools have no address that sends", "ippools.ippool")
_POOLLESS = Group("bad", "server_without_pool", "live servers have no IP pool", "servers.server")
GROUPS = (_SILENT, _POOLLESS)


def questions(look: Look) -> list[Question]:
    """Return what is asked: servers by pool and customer."""
    sending = IPPoolMember.objects.filter(pool=OuterRef("ip_pool"), ip_address__delivery_paused=False)
    silent = _live(look).filter(Q(ip_pool=None) | ~Exists(sending))
    columns = ("ip_pool_id", "ip_pool__name", "organization__name", "organization_id")
    rows = silent.order_by().values(*columns).annotate(number=Count("pk"))
    return [Question("pools", rows, {name: F(name) for name in (*columns, "number")})]


def poolless(look: Look) -> QuerySet[Server]:
    """Return the servers that have no pool: the lines name their customers."""
    return _live(look).filter(ip_pool=None)


def _live(look: Look) -> QuerySet[Server]:
    return among(Server.objects.living().filter(mode=Server.Mode.LIVE), "organization_id", look.scope.organization_ids)


def items(look: Look, answers: Answers) -> list[Item]:
    """Return a line for each pool and each customer, or one of each kind where there are many."""
    pools: dict[tuple[str, int], list[tuple[str, int]]] = {}
    poolless: list[tuple[str, int, int]] = []
    for row in sorted(answers["pools"], key=lambda each: (-each["number"], each["organization__name"])):
        customer, number = row["organization__name"], row["number"]
        if row["ip_pool_id"] is None:
            poolless.append((customer, row["organization_id"], number))
        else:
            pools.setdefault((row["ip_pool__name"], row["ip_pool_id"]), []).append((customer, number))
    return [*_of_pools(pools, look.named), *_of_poolless(poolless, look.named)]


def _of_pools(pools: dict[tuple[str, int], list[tuple[str, int]]], named: int) -> list[Item]:
    if len(pools) > named:
        servers = sum(number for customers in pools.values() for _, number in customers)
        text = f"No address of {len(pools)} pools sends: {counted(servers, 'server sends', 'servers send')} nothing"
        detail = "Their addresses are paused, or they have none"
        return [Item("bad", "pool_silent", text, detail, _SILENT.url, is_group=True)]
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
    url = _POOLLESS.url
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
