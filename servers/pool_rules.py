"""IP pool rules: which mail is sent by another pool, and so which addresses a server can send from.

A server's own rules come before its organization's, each in their order; the first that matches wins; without one, mail
leaves by the server's pool.
"""

import re
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Length, Replace

from core.acts import locked, save_change
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid, NotFound, QuotaExceeded
from core.names import fold
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.due_domains import recheck_domains_of
from servers.locks import lock_organization, lock_organization_of
from servers.models import IPPoolRule, Organization, Server
from servers.pools import pools_of
from throttling.domains import NotADomain, domain_name

MOST_CONDITIONS = 1_000
_SIDES = ("from_conditions", "to_conditions")
LONGEST_LOCAL_PART = 64
# All conditions of an organization, its servers' included: they are in the files of each node that it sends from, which it
# shares with others.
MOST_RULES = 500
MOST_IN_ALL = 20_000
# The same as nodes have them: the organization's follow those of each server that has some of its own.
MOST_AT_NODES = 200_000
# RFC 5321 as extended by RFC 6531, without quoted forms: of ASCII what atoms have, and beyond it what is printable. What else
# there is means something in the files of MTAs.
_LOCAL_PART = re.compile(r"(?:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]|[^\x00-\x9f])+")


# --- Conditions ------------------------------------------------------------------------------------------------------


def condition(text: str) -> str:
    """Return a condition as stored and compared: `local@domain` without a +tag, or a domain; raises ValueError."""
    text = text.strip()
    if "@" not in text:
        return domain_name(text)
    local_part, _, domain = text.rpartition("@")
    bare = _without_tag(local_part)
    # As it is compared, too: folding makes a blank of some letters, and "@" and quotes of others.
    if len(local_part) > LONGEST_LOCAL_PART or not (_is_local_part(local_part) and _is_local_part(bare)):
        raise NotADomain(text)
    return f"{bare}@{domain_name(domain)}"


def concerns_sender_domain(rule: IPPoolRule, domain: str) -> bool:
    """Whether mail from some address at the domain could match the rule."""
    conditions = rule.from_conditions.split("\n")
    return not rule.from_conditions or any(each.rpartition("@")[2] == domain for each in conditions)


def _is_local_part(text: str) -> bool:
    return text.isprintable() and _LOCAL_PART.fullmatch(text) is not None


def _without_tag(local_part: str) -> str:
    # Mailbox names are compared without case, as nearly every mail system does.
    return fold(local_part.partition("+")[0])


# --- Which pool, which addresses -------------------------------------------------------------------------------------


def addresses_of(server: Server) -> QuerySet[IPAddress]:
    """Return the addresses that the server can send from (of its pool and its rules), each once, by id."""
    rules = IPPoolRule.objects.filter(Q(server=server) | Q(organization_id=server.organization_id)).order_by()
    # One set: for a pool or one of others PostgreSQL goes through the members of all pools.
    pools = Server.objects.filter(pk=server.pk).order_by().values("ip_pool_id").union(rules.values("pool_id"))
    members = IPPoolMember.objects.filter(pool__in=pools)
    return IPAddress.objects.filter(pk__in=members.values("ip_address_id")).order_by("pk")


# --- Acts ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_rule(
    *,
    owner: Server | Organization,
    pool: IPPool,
    actor: Actor,
    from_conditions: Sequence[str] = (),
    to_conditions: Sequence[str] = (),
) -> IPPoolRule:
    """Add a rule at the end of a server's or an organization's rules. Raises Invalid, NotFound, QuotaExceeded."""
    organization = _lock_organization(owner)
    if isinstance(owner, Server) and not Server.objects.living().filter(pk=owner.pk).exists():
        raise NotFound("The server could not be found")
    rule = IPPoolRule(pool=pool, **_owned_by(owner))
    if _rules_of(organization).count() >= MOST_RULES:
        raise QuotaExceeded(f"An organization may have at most {MOST_RULES} pool rules, those of its servers included")
    _take(rule, organization, pool, from_conditions, to_conditions)
    last = IPPoolRule.objects.filter(**_owned_by(owner)).aggregate(Max("position"))["position__max"]
    rule.position = 0 if last is None else last + 1
    rule.save(force_insert=True)
    recheck_domains_of(owner)
    _record(actor, "ip_pool_rule.created", rule, organization.pk, after=snapshot(rule))
    return rule


@transaction.atomic
def change_rule(
    *,
    rule: IPPoolRule,
    actor: Actor,
    pool: IPPool | None = None,
    from_conditions: Sequence[str] | None = None,
    to_conditions: Sequence[str] | None = None,
) -> IPPoolRule:
    """Change the rule's pool or conditions; None keeps a value. Raises Invalid, NotFound, QuotaExceeded."""
    organization = _lock_organization(_owner(rule))
    changed = _locked(rule)
    before = snapshot(changed)
    _take(
        changed,
        organization,
        pool or changed.pool,
        changed.from_conditions.split("\n") if from_conditions is None else from_conditions,
        changed.to_conditions.split("\n") if to_conditions is None else to_conditions,
    )
    if save_change(changed, before, act="ip_pool_rule.changed", actor=actor, organization_id=organization.pk):
        recheck_domains_of(_owner(changed))
    return changed


@transaction.atomic
def delete_rule(*, rule: IPPoolRule, actor: Actor) -> None:
    """Delete the rule; its mail is sent by the next matching rule or the server's pool."""
    organization = _lock_organization(_owner(rule))
    deleted = _locked(rule)
    _record(actor, "ip_pool_rule.deleted", deleted, organization.pk, before=snapshot(deleted))
    deleted.delete()
    recheck_domains_of(_owner(deleted))


@transaction.atomic
def order_rules(*, owner: Server | Organization, ids: Sequence[int], actor: Actor) -> None:
    """Set the order of an owner's rules; `ids` must contain each of them once."""
    organization = _lock_organization(owner)
    rules = list(IPPoolRule.objects.filter(**_owned_by(owner)).order_by("position", "pk"))
    before = [rule.pk for rule in rules]
    if sorted(ids) != sorted(before):
        raise Invalid(Fault("ids", "must name each rule once"))
    if list(ids) == before:
        return
    place = {pk: position for position, pk in enumerate(ids)}
    for rule in rules:
        rule.position = place[rule.pk]
    IPPoolRule.objects.bulk_update(rules, ["position"])
    record(
        actor=actor,
        act="ip_pool_rule.ordered",
        target=owner,
        before={"ids": before},
        after={"ids": list(ids)},
        organization_id=organization.pk,
    )


def _take(
    rule: IPPoolRule,
    organization: Organization,
    pool: IPPool,
    from_conditions: Sequence[str],
    to_conditions: Sequence[str],
) -> None:
    faults: list[Fault] = []
    if not pools_of(organization).filter(pk=pool.pk).exists():
        faults.append(Fault("pool", "is not a pool of this organization"))
    rule.pool = pool
    rule.from_conditions = _stored("from_conditions", from_conditions, faults)
    rule.to_conditions = _stored("to_conditions", to_conditions, faults)
    if not (faults or rule.from_conditions or rule.to_conditions):
        faults.append(Fault("", "A pool rule needs at least one condition"))
    if faults:
        raise Invalid(*faults)
    _refuse_beyond(rule, organization)


def _refuse_beyond(rule: IPPoolRule, organization: Organization) -> None:
    """Raise QuotaExceeded where the rule would bring the organization's conditions beyond what nodes can have."""
    number = Sum(sum((_number_of(name) for name in _SIDES), Value(0)))
    others = _rules_of(organization).exclude(pk=rule.pk).order_by()
    # By the server; None: the organization's own rules.
    found: dict[int | None, int] = dict(
        others.values("server_id").annotate(number=number).values_list("server_id", "number")
    )
    own = sum(len(getattr(rule, name).splitlines()) for name in _SIDES)
    found[rule.server_id] = found.get(rule.server_id, 0) + own
    if sum(found.values()) > MOST_IN_ALL:
        raise QuotaExceeded(
            f"An organization may have at most {MOST_IN_ALL:,} conditions in its pool rules, those of its servers included"
        )
    shared = found.pop(None, 0)
    if sum(found.values()) + shared * (len(found) + 1) > MOST_AT_NODES:
        raise QuotaExceeded(
            f"The conditions of the organization's own pool rules count once more for each server with rules of its own:"
            f" {MOST_AT_NODES:,} is the most"
        )


def _rules_of(organization: Organization) -> QuerySet[IPPoolRule]:
    """Return the rules of the organization and of its servers, but for deleted ones, which send nothing."""
    of_servers = Q(server__organization=organization, server__deleted_at=None)
    return IPPoolRule.objects.filter(Q(organization=organization) | of_servers)


def _number_of(name: str) -> Any:
    """Return an expression: how many conditions a column holds, one a line."""
    return Length(name) - Length(Replace(F(name), Value("\n"))) + Case(When(**{name: ""}, then=0), default=1)


def _stored(field: str, conditions: Sequence[Any], faults: list[Fault]) -> str:
    given = [each for each in conditions if not isinstance(each, str) or each.strip()]
    if len(given) > MOST_CONDITIONS:
        faults.append(Fault(field, f"has too many conditions (maximum is {MOST_CONDITIONS})"))
        return ""
    stored: dict[str, None] = {}
    for index, each in enumerate(given):
        try:
            if not isinstance(each, str):
                raise NotADomain(str(each))
            stored[condition(each)] = None
        except NotADomain:
            faults.append(Fault(f"{field}[{index}]", "is neither an e-mail address nor a domain"))
    return "\n".join(stored)


def _owned_by(owner: Server | Organization) -> dict[str, Any]:
    is_server = isinstance(owner, Server)
    return {"server": owner if is_server else None, "organization": None if is_server else owner}


def _owner(rule: IPPoolRule) -> Server | Organization:
    # By its id alone: the rule in hand may be older than its owner's end, which the lock then tells.
    if rule.server_id is not None:
        return Server(pk=rule.server_id)
    return Organization(pk=rule.organization_id)


def _lock_organization(owner: Server | Organization) -> Organization:
    # Pools are granted and withdrawn under this lock: a rule cannot take a pool that is going away.
    return lock_organization_of(owner) if isinstance(owner, Server) else lock_organization(owner.pk)


def _locked(rule: IPPoolRule) -> IPPoolRule:
    return locked(IPPoolRule.objects.select_related("pool"), rule.pk, noun="pool rule")


def _record(actor: Actor, act: str, rule: IPPoolRule, organization_id: int, **states: Any) -> None:
    record(actor=actor, act=act, target=rule, organization_id=organization_id, **states)
