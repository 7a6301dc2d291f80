"""Create, change and delete routing rules. Invalid names all faults at once, and nothing has changed then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict, Unpack, cast

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Faults
from core.references import Reference, Resolved, resolve
from ippools.addresses import lock_addresses
from ippools.models import DeliveryTarget, DomainOverride, OverrideDomain, RoutingRule, VirtualMTA
from ippools.models.routing_rule import MOST_OVERRIDES, MOST_TARGETS, Randomization
from ippools.redirects import NOUN, leads_to
from ippools.used_by import refuse_deletion
from ippools.virtual_mtas import validate_columns
from throttling.drafts import has_too_many, patterns_of, refuse_taken

# What the column holds: 12 digits, 4 of them after the point.
HIGHEST_PORTION = 99_999_999
LOWEST_PORTION = Decimal("0.0001")


class TargetFields(TypedDict, total=False):
    """One of the VirtualMTAs that mail is split over, and its weight."""

    virtual_mta: Reference
    portion_of_mail: float | Decimal


class BranchFields(TypedDict, total=False):
    """A split of mail; the targets are the complete list."""

    randomization_type: str
    deliver_through: Sequence[TargetFields]


class OverrideFields(BranchFields, total=False):
    """An override for some recipient domains; `id` is the override to change, None a new one."""

    id: int | None
    domains: Sequence[str]


class RoutingFields(TypedDict, total=False):
    """The input of create and change; the overrides are the complete list."""

    name: str
    default: BranchFields
    domain_overrides: Sequence[OverrideFields]


@dataclass(slots=True)
class _Branch:
    """A validated default or override; None keeps a value."""

    randomization_type: str | None = None
    targets: list[tuple[int, Decimal]] | None = None
    domains: list[str] = field(default_factory=list)
    id: int | None = None

    def shape(self) -> tuple[Any, ...]:
        return self.randomization_type, self.targets, self.domains


@atomic_act
def create(*, actor: Actor, faults: Faults | None = None, **given: Unpack[RoutingFields]) -> RoutingRule:
    """Create a routing rule: needs a name and a default."""
    lock_addresses()
    rule = RoutingRule(kind=VirtualMTA.Kind.ROUTING_RULE)
    default, overrides = _validated(rule, given, faults)
    rule.name = given["name"]
    rule.randomization_type = str(default.randomization_type)
    rule.save(force_insert=True)
    _write(rule, default, overrides)
    record(actor=actor, act="routing_rule.created", target=rule, after=rule.document())
    return rule


@atomic_act
def change(rule_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[RoutingFields]) -> RoutingRule:
    """Change what is given; `domain_overrides` is the whole list, in which an `id` keeps an override. Raises NotFound."""
    lock_addresses()
    rule = _locked(rule_id)
    default, overrides = _validated(rule, given, faults)
    before = rule.document()
    columns: dict[str, Any] = {"name": given["name"]} if "name" in given else {}
    if default.randomization_type is not None:
        columns["randomization_type"] = default.randomization_type
    changed = bool(assign(rule, columns))
    if default.targets == _stored(rule, None).targets:
        default.targets = None
    if overrides is not None and _is_stored(rule, overrides):
        overrides = None
    if default.targets is not None or overrides is not None:
        _write(rule, default, overrides)
        changed = True
    if changed:
        save_change(rule, before, act="routing_rule.changed", actor=actor, document=RoutingRule.document)
    return rule


@atomic_act
def delete(rule_id: int, *, actor: Actor) -> None:
    """Delete a routing rule that nothing refers to. Raises NotFound, InUse, Conflict."""
    lock_addresses()
    rule = _locked(rule_id)
    refuse_deletion(rule)
    record(actor=actor, act="routing_rule.deleted", target=rule, before=rule.document())
    rule.delete()


def fields_of(document: Mapping[str, Any]) -> RoutingFields:
    """Return the arguments of `change` that restore a rule to this document; its overrides are created anew."""

    def branch(part: Mapping[str, Any]) -> dict[str, Any]:
        targets = [{**each, "virtual_mta": Reference(each["virtual_mta"]["id"])} for each in part["deliver_through"]]
        return {"randomization_type": part["randomization_type"], "deliver_through": targets}

    overrides = [{"domains": each["domains"], **branch(each)} for each in document["domain_overrides"]]
    fields = {"name": document["name"], "default": branch(document["default"]), "domain_overrides": overrides}
    return cast(RoutingFields, fields)


# --- What is given -----------------------------------------------------------------------------------------------------


def _validated(rule: RoutingRule, given: RoutingFields, faults: Faults | None) -> tuple[_Branch, list[_Branch] | None]:
    """Return the default and the overrides (None where they are not given), checked together. Raises Invalid."""
    faults = Faults() if faults is None else faults
    if "name" in given and (rule.pk is None or given["name"] != rule.name):
        validate_columns({"name": given["name"]}, pk=rule.pk, faults=faults)
    default_given = given.get("default", {})
    parts: list[tuple[str, BranchFields]] = [("default", default_given)]
    overrides_given = given.get("domain_overrides")
    parts += [(f"domain_overrides[{index}]", each) for index, each in enumerate(overrides_given or ())]
    _refuse_too_many(overrides_given or (), [part for _, part in parts], faults)
    branches = [_branch_of(part, path, faults) for path, part in parts]
    patterns = []
    for branch, override, (path, _) in zip(branches[1:], overrides_given or (), parts[1:], strict=True):
        found = patterns_of(override["domains"], f"{path}.domains", faults) if "domains" in override else []
        branch.id, branch.domains = override.get("id"), [each.text for each in found]
        patterns += found
    refuse_taken(patterns, set(), faults)
    named = [branch.id for branch in branches if branch.id is not None]
    if len(named) != len(set(named)):
        faults.add("domain_overrides", "must not name an override twice")
    _resolve(rule, branches, parts, faults)
    faults.refuse()
    return branches[0], None if overrides_given is None else branches[1:]


def _refuse_too_many(overrides: Sequence[OverrideFields], parts: Sequence[BranchFields], faults: Faults) -> None:
    """Refuse more than is written at once, before any of it is looked at. Raises Invalid."""
    is_too_much = has_too_many([each.get("domains", ()) for each in overrides], "domain_overrides", faults)
    if len(overrides) > MOST_OVERRIDES:
        faults.add("domain_overrides", f"must not be more than {MOST_OVERRIDES:,}")
        is_too_much = True
    if sum(len(each.get("deliver_through", ())) for each in parts) > MOST_TARGETS:
        faults.add("", f"There can be at most {MOST_TARGETS:,} VirtualMTAs to deliver through in all")
        is_too_much = True
    if is_too_much:
        faults.refuse()


def _branch_of(part: BranchFields, path: str, faults: Faults) -> _Branch:
    randomization_type = part.get("randomization_type")
    if randomization_type is not None and randomization_type not in Randomization.values:
        faults.add(f"{path}.randomization_type", "must be one of " + ", ".join(Randomization.values))
    if "deliver_through" in part and not part["deliver_through"]:
        faults.add(f"{path}.deliver_through", "must contain at least one VirtualMTA")
    return _Branch(randomization_type)


def portion_of(value: object) -> Decimal | None:
    """Return a weight as it is stored; None if it is not a number or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 0 < value <= HIGHEST_PORTION:
        return None
    return Decimal(str(value)).quantize(LOWEST_PORTION) or None


def _resolve(
    rule: RoutingRule, branches: Sequence[_Branch], parts: Sequence[tuple[str, BranchFields]], faults: Faults
) -> None:
    """Find the VirtualMTAs of all branches, and refuse unknown ones, duplicates and loops."""
    given = [each.get("virtual_mta") for _, part in parts for each in part.get("deliver_through", ())]
    found = resolve(VirtualMTA.objects.only("pk", "name_key"), given)
    reached: dict[int, str] = {}
    for branch, (where, part) in zip(branches, parts, strict=True):
        if "deliver_through" in part:
            branch.targets = _targets_of(part["deliver_through"], f"{where}.deliver_through", found, reached, faults)
    if rule.pk is None or not reached or not leads_to(rule.pk, reached):
        return
    # Only now, when there is a circle, is it worth a query each to say where.
    for pk, path in reached.items():
        if pk == rule.pk:
            faults.add(path, "must not be the routing rule itself")
        elif leads_to(rule.pk, [pk]):
            faults.add(path, "must not make a loop")


def _targets_of(
    given: Sequence[TargetFields], where: str, found: Resolved[VirtualMTA], reached: dict[int, str], faults: Faults
) -> list[tuple[int, Decimal]]:
    """Return the ids and weights of some targets; `reached` learns where each VirtualMTA was first named."""
    targets = []
    seen: set[int] = set()
    for index, target in enumerate(given):
        path = f"{where}[{index}]"
        portion = portion_of(target.get("portion_of_mail"))
        if portion is None:
            faults.add(f"{path}.portion_of_mail", f"must be a number from {LOWEST_PORTION} to {HIGHEST_PORTION}")
        pk = found.id_of(target.get("virtual_mta"), f"{path}.virtual_mta", NOUN, faults)
        if pk is None:
            continue
        if pk in seen:
            faults.add(f"{path}.virtual_mta", "is named twice among these targets")
        seen.add(pk)
        reached.setdefault(pk, f"{path}.virtual_mta")
        targets.append((pk, portion or LOWEST_PORTION))
    return targets


# --- What is written ---------------------------------------------------------------------------------------------------


def _stored(rule: RoutingRule, override: DomainOverride | None) -> _Branch:
    """Return a branch as it is in the database."""
    owner: Any = rule if override is None else override
    targets = rule.targets.filter(override=override).order_by("pk").values_list("virtual_mta_id", "portion_of_mail")
    domains = [] if override is None else [each.pattern for each in override.domains.all()]
    return _Branch(owner.randomization_type, list(targets), domains, None if override is None else override.pk)


def _is_stored(rule: RoutingRule, branches: Sequence[_Branch]) -> bool:
    """Return whether the rule has exactly these overrides already."""
    stored = {each.pk: each for each in rule.domain_overrides.prefetch_related("domains")}
    return {branch.id for branch in branches} == set(stored) and all(
        branch.id is not None and branch.shape() == _stored(rule, stored[branch.id]).shape() for branch in branches
    )


def _write(rule: RoutingRule, default: _Branch, overrides: Sequence[_Branch] | None) -> None:
    targets: list[DeliveryTarget] = []
    if default.targets is not None:
        rule.targets.filter(override=None).delete()
        targets += _targets(rule, None, default)
    if overrides is not None:
        targets += _write_overrides(rule, overrides)
    DeliveryTarget.objects.bulk_create(targets, batch_size=1_000)


def _write_overrides(rule: RoutingRule, branches: Sequence[_Branch]) -> list[DeliveryTarget]:
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
            OverrideDomain(override=override, routing_rule=rule, pattern=pattern, position=position)
            for override, branch in zip(overrides, branches, strict=True)
            for position, pattern in enumerate(branch.domains)
        ),
        batch_size=1_000,
    )
    return [
        target
        for override, branch in zip(overrides, branches, strict=True)
        for target in _targets(rule, override, branch)
    ]


def _targets(rule: RoutingRule, override: DomainOverride | None, branch: _Branch) -> list[DeliveryTarget]:
    return [
        DeliveryTarget(routing_rule=rule, override=override, virtual_mta_id=pk, portion_of_mail=portion)
        for pk, portion in branch.targets or ()
    ]


def _locked(rule_id: int) -> RoutingRule:
    return locked(RoutingRule.objects.all(), rule_id, no_key=False)
