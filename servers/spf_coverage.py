"""Checks whether the SPF records of the domains that send by some pools authorize their addresses."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, When, Window

from core import sql_lists
from core.compiled import Compiled
from dnschecks.checked import DNSStatus
from servers.models import Domain, IPPoolRule, Server

_WRONG = (DNSStatus.MISSING, DNSStatus.INVALID)
# So many domains are named.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Failing:
    """A domain whose SPF fails, and the name of its server."""

    pk: int
    name: str
    server: str
    spf_status: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many sending domains there are, of how many SPF passes, of how many it is not known yet, and some where it fails."""

    total: int = 0
    passing: int = 0
    unknown: int = 0
    failing: tuple[Failing, ...] = ()

    @property
    def failing_total(self) -> int:
        """Of how many it fails."""
        return self.total - self.passing - self.unknown


def domains_of(pool_ids: Any, servers: QuerySet[Server]) -> QuerySet[Domain]:
    """Return the domains of these servers that may send by these pools, ids or a query of them.

    A pool rule counts for all domains of its servers.
    """
    rules = IPPoolRule.objects.filter(pool__in=pool_ids)
    # Each by an index of its own: one condition with alternatives goes through all domains that there are.
    every = Server.objects.order_by().values("pk")
    sending = every.filter(ip_pool__in=pool_ids).union(
        every.filter(pk__in=rules.filter(server__isnull=False).values("server")),
        every.filter(organization__in=rules.filter(organization__isnull=False).values("organization")),
    )
    return Domain.objects.filter(server__in=sending, outgoing=True).filter(server__in=servers.filter(deleted_at=None))


def of_pools(pool_ids: Collection[int], servers: QuerySet[Server] | None = None) -> Coverage:
    """Return the coverage of the domains of these servers (None: all) that may send by these pools. One query.

    A check of SPF covers every address that a domain's mail may leave by: a domain with several pools passes with all or fails.
    A pool rule counts for all domains of its servers, whatever its conditions.
    """
    if not pool_ids:
        return Coverage()
    found = list(_OF_ALL.all(sql_lists.id_list(pool_ids)) if servers is None else _rows(pool_ids, servers))
    if not found:
        return Coverage()
    failing = tuple(Failing(*row[3:]) for row in found if row[-1] in _WRONG)
    total, passing, unknown = found[0][:3]
    return Coverage(total, passing, unknown, failing)


def _rows(pool_ids: Any, servers: QuerySet[Server]) -> QuerySet[Any, tuple[Any, ...]]:
    """Return some domains, those where it fails first, each row with the numbers of all."""
    return (
        domains_of(pool_ids, servers)
        .annotate(
            total=Window(Count("pk")),
            passing=Window(Count("pk", filter=Q(spf_status=DNSStatus.OK))),
            unknown=Window(Count("pk", filter=Q(spf_status=None))),
        )
        .order_by(Case(When(spf_status__in=_WRONG, then=0), default=1), "name", "pk")
        .values_list("total", "passing", "unknown", "pk", "name", "server__name", "spf_status")[:NAMED]
    )


# On the page of every address and every pool, for the platform's staff.
_OF_ALL = Compiled((str,), lambda listed: _rows(sql_lists.ids_in(listed), Server.objects.all()))
