"""What pool rules mean, in a few lines: which pool mail leaves by. Nodes decide it, by the rules in their policy."""

from collections.abc import Iterable

from django.db.models import F, Q, QuerySet

from ippools.models import IPPool
from servers.models import IPPoolRule, Server
from servers.pool_rules import condition
from throttling.domains import NotADomain


def rules_of(server: Server) -> QuerySet[IPPoolRule]:
    """Return the rules that apply to the server's mail, in the order in which they are tried."""
    mine = Q(server=server) | Q(organization_id=server.organization_id)
    return (
        IPPoolRule.objects.filter(mine)
        .order_by(F("organization_id").asc(nulls_first=True), "position", "pk")
        .select_related("pool")
    )


def in_order(rules: Iterable[IPPoolRule]) -> list[IPPoolRule]:
    """Sort rules of a server and its organization as they are tried."""
    return sorted(rules, key=lambda rule: (rule.organization_id is not None, rule.position, rule.pk))


def pool_for(*, server: Server, sender: str, recipient: str) -> IPPool | None:
    """Return the pool that mail of the server leaves by; None where it has none."""
    for rule in in_order(rules_of(server)):
        if matches(rule, sender=sender, recipient=recipient):
            return rule.pool
    return server.ip_pool


def matches(rule: IPPoolRule, *, sender: str, recipient: str) -> bool:
    """Whether the rule applies to mail between these addresses. Both kinds of condition given: both must match."""
    return _any_matches(rule.from_conditions, sender) and _any_matches(rule.to_conditions, recipient)


def _any_matches(conditions: str, address: str) -> bool:
    if not conditions:
        return True
    try:
        plain = condition(address)
    except NotADomain:
        return False
    return bool({plain, plain.rpartition("@")[2]} & set(conditions.split("\n")))
