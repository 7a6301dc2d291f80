"""Checks whether the SPF records of the domains that send by some pools authorize their addresses."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, When, Window

from dnschecks.checked import DNSStatus
from servers.models import Domain, IPPoolRule, Server

_WRONG = (DNSStatus.MISSING, DNSStatus.INVALID)
# So many domains are named.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many sending domains there are, of how many SPF passes, of how many it is not known yet, and some where it fails."""

    total: int = 0
    passing: int = 0
    unknown: int = 0
    failing: tuple[Domain, ...] = ()

    @property
    def failing_total(self) -> int:
        """Of how many it fails."""
        return self.total - self.passing - self.unknown


def domains_of(pool_ids: Collection[int], servers: QuerySet[Server]) -> QuerySet[Domain]:
    """Return the domains of these servers that may send by these pools. A pool rule counts for all domains of its servers."""
    rules = IPPoolRule.objects.filter(pool__in=pool_ids)
    by_rule = Q(server=OuterRef("server")) | Q(organization=OuterRef("server__organization"))
    sends = Q(server__ip_pool__in=pool_ids) | Q(Exists(rules.filter(by_rule)))
    return Domain.objects.filter(sends, outgoing=True, server__in=servers.filter(deleted_at=None))


def of_pools(pool_ids: Collection[int], servers: QuerySet[Server]) -> Coverage:
    """Return the coverage of the domains of these servers that may send by these pools. One query.

    A check of SPF covers every address that a domain's mail may leave by: a domain with several pools passes with all or fails.
    A pool rule counts for all domains of its servers, whatever its conditions.
    """
    if not pool_ids:
        return Coverage()
    domains = domains_of(pool_ids, servers)
    # Those where it fails come first, each row with the numbers of all.
    is_failing = Case(When(spf_status__in=_WRONG, then=0), default=1)
    rows = (
        domains.annotate(
            total=Window(Count("pk")),
            passing=Window(Count("pk", filter=Q(spf_status=DNSStatus.OK))),
            unknown=Window(Count("pk", filter=Q(spf_status=None))),
        )
        .select_related("server__organization")
        .defer("dns_answers", "dkim_private_key")
        .order_by(is_failing, "name", "pk")
    )
    found: list[Any] = list(rows[:NAMED])
    if not found:
        return Coverage()
    failing = tuple(row for row in found if row.spf_status in _WRONG)
    return Coverage(found[0].total, found[0].passing, found[0].unknown, failing)
