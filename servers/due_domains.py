"""Domains whose mail may leave by other addresses than before: their SPF records must pass those, so DNS is asked soon.

A status stays what it was until then. Called by the acts themselves, in their transactions.
"""

from django.db.models import Q, QuerySet

from dnschecks.sweep import make_due
from ippools.models import IPAddress, IPPool
from servers.models import Domain, IPPoolRule, Organization, Server


def recheck_domains_of(owner: Server | Organization) -> None:
    """Let the domains of a server, or of all an organization's, be checked by the next sweep."""
    if isinstance(owner, Server):
        make_due(Domain.objects.filter(server=owner))
    else:
        make_due(Domain.objects.filter(server__organization=owner))


def recheck_domains_by(pool: IPPool) -> None:
    """Let the domains be checked whose servers send by the pool, or have a rule that does."""
    _recheck_by(IPPool.objects.filter(pk=pool.pk))


def recheck_domains_by_address(address: IPAddress) -> None:
    """Let the domains be checked whose servers may send by the address."""
    _recheck_by(IPPool.objects.filter(members__ip_address=address))


def _recheck_by(pools: QuerySet[IPPool]) -> None:
    ids = pools.values("pk")
    rules = IPPoolRule.objects.filter(pool__in=ids)
    concerned = Q(server__ip_pool__in=ids)
    concerned |= Q(server__in=rules.values("server_id"))
    concerned |= Q(server__organization__in=rules.values("organization_id"))
    make_due(Domain.objects.filter(concerned))
