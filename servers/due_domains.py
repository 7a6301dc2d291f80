"""Marks domains for a DNS check soon when the addresses that send their mail change, which their SPF records must pass.

A status stays what it was until then. What an address is (IPv4, IPv6, HELO name) and which addresses a pool has is noted on
the address and the pool, by the acts that change it; every sweep begins by holding these times against the domains' last
checks. Which pools a server or rule uses is told by the acts themselves.
"""

import datetime

from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q

from dnschecks.resolver import CHECK_TIMEOUT
from dnschecks.sweep import make_due
from ippools.models import IPPool
from servers.models import Domain, IPPoolRule, Organization, Server

# A check that ended so soon after a change may have begun before it.
CHECKED_MEANWHILE = datetime.timedelta(seconds=2 * CHECK_TIMEOUT)
# No domain is checked less often (dnschecks.schedule), so what changed before that is known to every check.
REMEMBERED = datetime.timedelta(days=2)


def recheck_domains_of(owner: Server | Organization) -> None:
    """Make the domains of a server, or of an organization's servers, due for the next sweep."""
    if isinstance(owner, Server):
        make_due(Domain.objects.filter(server=owner))
    else:
        make_due(Domain.objects.filter(server__organization=owner))


def recheck_domains_of_changed_pools(*, at: datetime.datetime) -> None:
    """Make due the domains last checked before what they send from changed: one query, and three where a pool changed."""
    recently = Q(members_changed_at__gte=at - REMEMBERED)
    recently |= Q(members__ip_address__sender_changed_at__gte=at - REMEMBERED)
    pools = list(IPPool.objects.filter(recently).values_list("pk", flat=True).distinct())
    if not pools:
        return
    rules = IPPoolRule.objects.filter(pool__in=pools)
    concerned = Q(server__ip_pool__in=pools)
    concerned |= Q(server__in=rules.values("server_id"))
    concerned |= Q(server__organization__in=rules.values("organization_id"))
    checked = ExpressionWrapper(F("dns_checked_at") - CHECKED_MEANWHILE, output_field=DateTimeField())
    used = Q(servers=OuterRef("server")) | Q(pool_rules__server=OuterRef("server"))
    used |= Q(pool_rules__organization=OuterRef("server__organization"))
    newer = Q(members_changed_at__gt=OuterRef("known_at")) | Q(
        members__ip_address__sender_changed_at__gt=OuterRef("known_at")
    )
    make_due(
        Domain.objects.filter(concerned, dns_checked_at__isnull=False)
        .annotate(known_at=checked)
        .filter(Exists(IPPool.objects.filter(used, newer, pk__in=pools)))
    )
