"""Routing rules: made, changed, deleted. Acts raise Invalid with all faults at once, and then have changed nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from core.attributes import ABSENT, Absent, Attributes, quoted
from core.audit import Actor, record, snapshot
from core.errors import NotFound
from core.races import atomic_act
from core.references import Reference, read_reference, resolve, whole_id
from ippools.addresses import lock_addresses
from ippools.attributes import read_name
from ippools.models import DeliveryTarget, DomainOverride, OverrideDomain, RoutingRule, VirtualMTA
from ippools.models.routing_rule import Randomization
from ippools.redirects import NOUN, leads_to
from ippools.used_by import refuse_deletion
from throttling.reading import TAKEN, GivenDomain, read_domains

# What the column holds: 12 digits, 4 of them after the point.
HIGHEST_PORTION = 99_999_999
LOWEST_PORTION = Decimal("0.0001")


@dataclass(slots=True)
class Target:
    """One way out, as given."""

    reference: Reference | Absent | None
    portion: Decimal | Absent
    virtual_mta_id: int | Absent | None = ABSENT


@dataclass(slots=True)
class Branch:
    """A default or an override, as given; `id` is the override that it changes, None for a new one."""

    given: Attributes
    randomization_type: str | Absent
    targets: list[Target] | Absent
    domains: list[GivenDomain] = field(default_factory=list)
    id: int | None = None


@atomic_act
def create(values: Mapping[str, Any], *, actor: Actor) -> RoutingRule:
    """Make a routing rule of `name`, `default` and, optionally, `domain_overrides`."""
    lock_addresses()
    attributes = Attributes(values)
    name = read_name(attributes, pk=None)
    default, overrides = _read_branches(attributes, pk=None)
    attributes.refuse_if_faulty()
    rule = RoutingRule(kind=VirtualMTA.Kind.ROUTING_RULE, name=name)
    _write(rule, default, overrides)
    record(actor=actor, act="routing_rule.created", target=rule, after=document(rule))
    return rule


@atomic_act
def update(rule_id: int, values: Mapping[str, Any], *, actor: Actor) -> RoutingRule:
    """Change what is given; `domain_overrides` is the whole list, in which an `id` keeps an override. Raises NotFound."""
    lock_addresses()
    rule = _locked(rule_id)
    attributes = Attributes(values, is_partial=True)
    name = read_name(attributes, pk=rule.pk)
    default, overrides = _read_branches(attributes, pk=rule.pk)
    attributes.refuse_if_faulty()
    before = document(rule)
    if name is not ABSENT:
        rule.name = name
    _write(rule, default, overrides)
    record(actor=actor, act="routing_rule.updated", target=rule, before=before, after=document(rule))
    return rule


@atomic_act
def delete(rule_id: int, *, actor: Actor) -> None:
    """Delete a routing rule that nothing refers to. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    rule = _locked(rule_id)
    refuse_deletion(rule)
    record(actor=actor, act="routing_rule.deleted", target=rule, before=document(rule))
    rule.delete()


def document(rule: RoutingRule) -> dict[str, Any]:
    """Return the rule in the form in which acts read it, with its columns, for the audit trail."""
    targets: dict[int | None, list[dict[str, Any]]] = {}
    for target in rule.targets.order_by("pk"):
        targets.setdefault(target.override_id, []).append(
            {"virtual_mta": {"id": target.virtual_mta_id}, "portion_of_mail": float(target.portion_of_mail)}
        )
    return {
        **snapshot(rule),
        "default": {"randomization_type": rule.randomization_type, "deliver_through": targets.get(None, [])},
        "domain_overrides": [
            {
                "id": override.pk,
                "domains": [domain.pattern for domain in override.domains.all()],
                "randomization_type": override.randomization_type,
                "deliver_through": targets.get(override.pk, []),
            }
            for override in rule.domain_overrides.prefetch_related("domains").order_by("pk")
        ],
    }


# --- What is given -----------------------------------------------------------------------------------------------------


def _read_branches(attributes: Attributes, *, pk: int | None) -> tuple[Branch | None, list[Branch] | Absent]:
    """Return the default (None where it is not given) and the overrides, checked together."""
    part = attributes.part("default")
    default = _read_branch(part) if isinstance(part, Attributes) else None
    parts = attributes.parts("domain_overrides", is_required=False, is_partial=False)
    overrides: list[Branch] | Absent = ABSENT
    if not isinstance(parts, Absent):
        overrides = [_read_override(each) for each in parts if isinstance(each, Attributes)]
        taken: set[str] = set()
        for override in overrides:
            for domain in override.domains:
                if domain.pattern in taken:
                    attributes.fault_at(domain.path, f"{quoted(domain.text)} {TAKEN}")
                taken.add(domain.pattern)
        named = [override.id for override in overrides if override.id is not None]
        if len(named) != len(set(named)):
            attributes.fault("domain_overrides", "must not name an override twice")
    _resolve(attributes, [*([default] if default else []), *(overrides or [])], pk=pk)
    return default, overrides


def _read_override(part: Attributes) -> Branch:
    domains = read_domains(part)
    branch = _read_branch(part)
    branch.domains = [] if isinstance(domains, Absent) else domains
    branch.id = whole_id(part.values.get("id"))
    return branch


def _read_branch(part: Attributes) -> Branch:
    randomization_type = part.choice("randomization_type", Randomization.values)
    parts = part.parts("deliver_through", is_partial=False)
    if isinstance(parts, Absent):
        return Branch(part, randomization_type, ABSENT)
    if not parts:
        part.fault("deliver_through", "must contain at least one VirtualMTA")
    targets = [
        Target(read_reference(each, "virtual_mta"), _read_portion(each))
        for each in parts
        if isinstance(each, Attributes)
    ]
    return Branch(part, randomization_type, targets)


def _read_portion(part: Attributes) -> Decimal | Absent:
    value = part.value("portion_of_mail")
    if isinstance(value, Absent):
        return ABSENT
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 < value <= HIGHEST_PORTION:
        portion = Decimal(str(value)).quantize(LOWEST_PORTION)
        if portion > 0:
            return portion
    return part.fault("portion_of_mail", f"must be a number from {LOWEST_PORTION} to {HIGHEST_PORTION}")


def _resolve(attributes: Attributes, branches: list[Branch], *, pk: int | None) -> None:
    """Find the VirtualMTAs of all branches, and refuse unknown ones, repeated ones and circles."""
    given = [target for branch in branches for target in branch.targets or []]
    found = resolve(VirtualMTA.objects.only("pk", "name_key"), [target.reference for target in given])
    reached: dict[int, str] = {}
    for branch in branches:
        seen: set[int] = set()
        for target in branch.targets or []:
            target.virtual_mta_id = found.id_of(target.reference, attributes, NOUN)
            if not isinstance(target.virtual_mta_id, int) or not isinstance(target.reference, Reference):
                continue
            if target.virtual_mta_id in seen:
                attributes.fault_at(target.reference.path, "is named twice among these targets")
            seen.add(target.virtual_mta_id)
            reached.setdefault(target.virtual_mta_id, target.reference.path)
    if pk is None or not reached or not leads_to(pk, reached):
        return
    # Only now, when there is a circle, is it worth a query each to say where.
    for virtual_mta_id, path in reached.items():
        if virtual_mta_id == pk:
            attributes.fault_at(path, "must not be the routing rule itself")
        elif leads_to(pk, [virtual_mta_id]):
            attributes.fault_at(path, "must not make a loop")


# --- What is written ---------------------------------------------------------------------------------------------------


def _write(rule: RoutingRule, default: Branch | None, overrides: list[Branch] | Absent) -> None:
    if default is not None and not isinstance(default.randomization_type, Absent):
        rule.randomization_type = default.randomization_type
    rule.save(force_insert=rule._state.adding)
    targets: list[DeliveryTarget] = []
    if default is not None and not isinstance(default.targets, Absent):
        rule.targets.filter(override=None).delete()
        targets += _targets(rule, None, default)
    if not isinstance(overrides, Absent):
        targets += _write_overrides(rule, overrides)
    DeliveryTarget.objects.bulk_create(targets, batch_size=1_000)


def _write_overrides(rule: RoutingRule, branches: list[Branch]) -> list[DeliveryTarget]:
    """Write the overrides with their domains, and return their targets."""
    existing = rule.domain_overrides.in_bulk()
    kept = {branch.id for branch in branches if branch.id is not None and branch.id in existing}
    rule.targets.exclude(override=None).delete()
    rule.override_domains.all().delete()
    rule.domain_overrides.exclude(pk__in=kept).delete()
    overrides = [
        existing[branch.id] if branch.id in kept and branch.id is not None else DomainOverride(routing_rule=rule)
        for branch in branches
    ]
    for override, branch in zip(overrides, branches, strict=True):
        override.randomization_type = str(branch.randomization_type)
    DomainOverride.objects.bulk_create([each for each in overrides if each.pk is None], batch_size=1_000)
    DomainOverride.objects.bulk_update(
        [each for each in overrides if each.pk in kept], ["randomization_type"], batch_size=100
    )
    OverrideDomain.objects.bulk_create(
        (
            OverrideDomain(override=override, routing_rule=rule, pattern=domain.pattern, position=position)
            for override, branch in zip(overrides, branches, strict=True)
            for position, domain in enumerate(branch.domains)
        ),
        batch_size=1_000,
    )
    return [
        target
        for override, branch in zip(overrides, branches, strict=True)
        for target in _targets(rule, override, branch)
    ]


def _targets(rule: RoutingRule, override: DomainOverride | None, branch: Branch) -> list[DeliveryTarget]:
    return [
        DeliveryTarget(
            routing_rule=rule,
            override=override,
            virtual_mta_id=target.virtual_mta_id,
            portion_of_mail=target.portion,
        )
        for target in branch.targets or []
        if isinstance(target.virtual_mta_id, int) and isinstance(target.portion, Decimal)
    ]


def _locked(rule_id: int) -> RoutingRule:
    rule = RoutingRule.objects.select_for_update(of=("self",)).filter(pk=rule_id).first()
    if rule is None:
        raise NotFound("The routing rule could not be found")
    return rule
