"""One rule of an address or a template: added, changed, taken away.

`owner` is the address or template, `values` what the caller gave: read in throttling/reading.py. Every act raises Invalid with
all faults at once, and then has changed nothing.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from core.attributes import Attributes
from core.audit import Actor, record
from core.errors import NotFound
from core.races import atomic_act
from throttling import rule_sets
from throttling.models import Rule, RuleDomain, RuleSet
from throttling.models.rule import MAX_RULES
from throttling.reading import check_together, read_rule


@atomic_act
def create(owner: Model, values: Mapping[str, Any], *, actor: Actor) -> Rule:
    """Add a rule to the owner's set, and return it."""
    rule_set = rule_sets.locked(_set_id(owner))
    attributes = Attributes(values)
    draft = read_rule(attributes)
    if rule_set.rules.count() >= MAX_RULES:
        attributes.fault("", f"There can be at most {MAX_RULES} throttling rules")
    check_together(attributes, [draft], taken=_patterns(rule_set))
    attributes.refuse_if_faulty()
    [rule] = rule_sets.add_rules(rule_set, [draft])
    return _recorded(owner, rule.pk, "rule_created", before=None, actor=actor)


@atomic_act
def update(owner: Model, rule_id: int, values: Mapping[str, Any], *, actor: Actor) -> Rule:
    """Change what is given of a rule of the owner's set, and return it; raises NotFound."""
    rule_set = rule_sets.locked(_set_id(owner))
    rule = _rule(rule_set, rule_id)
    before = rule_sets.rule_document(rule)
    attributes = Attributes(values, is_partial=True)
    draft = read_rule(attributes)
    check_together(attributes, [draft], taken=_patterns(rule_set, besides=rule.pk))
    attributes.refuse_if_faulty()
    rule_sets.change_rule(rule_set, rule, draft)
    return _recorded(owner, rule.pk, "rule_updated", before=before, actor=actor)


@atomic_act
def delete(owner: Model, rule_id: int, *, actor: Actor) -> None:
    """Take a rule out of the owner's set; raises NotFound."""
    rule = _rule(rule_sets.locked(_set_id(owner)), rule_id)
    before = rule_sets.rule_document(rule)
    rule.delete()
    record(actor=actor, act=f"{_noun(owner)}.rule_deleted", target=owner, before={"rule": before})


def _recorded(owner: Model, rule_id: int, act: str, *, before: dict[str, Any] | None, actor: Actor) -> Rule:
    rule = rule_sets.rules_of(_set_id(owner)).get(pk=rule_id)
    record(
        actor=actor,
        act=f"{_noun(owner)}.{act}",
        target=owner,
        before=None if before is None else {"rule": before},
        after={"rule": rule_sets.rule_document(rule)},
    )
    return rule


def _rule(rule_set: RuleSet, rule_id: int) -> Rule:
    rule = rule_sets.rules_of(rule_set.pk).filter(pk=rule_id).first()
    if rule is None:
        raise NotFound("The throttling rule could not be found")
    return rule


def _patterns(rule_set: RuleSet, *, besides: int = 0) -> set[str]:
    return set(RuleDomain.objects.filter(rule_set=rule_set).exclude(rule_id=besides).values_list("pattern", flat=True))


def _set_id(owner: Model) -> int:
    return owner.rules_id  # type: ignore[attr-defined]  # Addresses are an outer app's: owners are told by what they have.


def _noun(owner: Model) -> str:
    """Return the word for the owner in the audit trail: `ip_address`, `throttling_template`."""
    return (owner._meta.verbose_name or "").lower().replace(" ", "_")
