"""Create, change and delete one rule of an address or a template. Invalid names all faults at once.

The audit trail gets the owner's whole document, as for any other change of it.
"""

from typing import Any, Protocol, Unpack, cast

from django.db.models import Model

from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Faults, NotFound
from throttling import rule_sets
from throttling.drafts import RuleFields, check_together, draft_of
from throttling.models import Rule, RuleSet
from throttling.models.rule import MAX_RULES


class Owner(Protocol):
    """The owner of a rule set: an address (of an outer app) or a template."""

    rules: RuleSet
    rules_id: int

    def document(self) -> dict[str, Any]:
        """Return the whole record as plain values."""


@atomic_act
def create(owner: Owner, *, actor: Actor, faults: Faults | None = None, **given: Unpack[RuleFields]) -> Rule:
    """Add a rule to the owner's set, and return it."""
    faults = Faults() if faults is None else faults
    rules = _locked(owner)
    draft = draft_of(given, faults=faults)
    if len(rules) >= MAX_RULES:
        faults.add("", f"There can be at most {MAX_RULES} throttling rules")
    check_together([draft], rules, faults)
    faults.refuse()
    before = owner.document()
    [rule] = rule_sets.add_rules(owner.rules, [draft])
    _record(owner, "rule_created", before, actor)
    return _rule(owner, rule.pk)


@atomic_act
def change(
    owner: Owner, rule_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[RuleFields]
) -> Rule:
    """Change what is given of a rule of the owner's set, and return it; raises NotFound."""
    faults = Faults() if faults is None else faults
    rules = _locked(owner)
    rule = _rule(owner, rule_id)
    draft = draft_of(given, is_whole=False, faults=faults)
    check_together([draft], [each for each in rules if each.pk != rule_id], faults)
    faults.refuse()
    before = owner.document()
    if rule_sets.change_rule(owner.rules, rule, draft):
        _record(owner, "rule_changed", before, actor)
    return _rule(owner, rule_id)


@atomic_act
def delete(owner: Owner, rule_id: int, *, actor: Actor) -> None:
    """Delete a rule of the owner's set; raises NotFound."""
    _locked(owner)
    rule = _rule(owner, rule_id)
    before = owner.document()
    rule_sets.delete_rule(owner.rules, rule)
    _record(owner, "rule_deleted", before, actor)


def _locked(owner: Owner) -> list[Rule]:
    """Lock the owner's set, and return its rules."""
    owner.rules = rule_sets.locked(owner.rules_id)
    return list(owner.rules.rules.all())


def _rule(owner: Owner, rule_id: int) -> Rule:
    for rule in owner.rules.rules.all():
        if rule.pk == rule_id:
            return rule
    raise NotFound("The throttling rule could not be found")


def _record(owner: Owner, act: str, before: dict[str, Any], actor: Actor) -> None:
    target = cast(Model, owner)
    noun = (target._meta.verbose_name or "").lower().replace(" ", "_")
    record(actor=actor, act=f"{noun}.{act}", target=target, before=before, after=owner.document())
