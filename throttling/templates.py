"""Throttling templates: made, changed, deleted. Acts raise Invalid with all faults at once, and then have changed nothing."""

from collections.abc import Mapping
from typing import Any

from core.attributes import ABSENT, Attributes
from core.audit import Actor, record
from core.errors import NotAllowed, NotFound
from core.races import atomic_act
from throttling import rule_sets, used_by
from throttling.models import RuleSet, ThrottlingTemplate
from throttling.names import read_name
from throttling.reading import read_rule_set

KIND = RuleSet.Kind.TEMPLATE


@atomic_act
def create(values: Mapping[str, Any], *, actor: Actor) -> ThrottlingTemplate:
    """Make a template of `name`, `default` and, optionally, `rules`."""
    attributes = Attributes(values)
    name = read_name(attributes, ThrottlingTemplate, pk=None)
    draft = read_rule_set(attributes, kind=KIND)
    attributes.refuse_if_faulty()
    template = ThrottlingTemplate.objects.create(name=name, rules=rule_sets.create(draft, kind=KIND))
    record(actor=actor, act="throttling_template.created", target=template, after=document(template))
    return template


@atomic_act
def update(
    template_id: int, values: Mapping[str, Any], *, actor: Actor, replaces_rules: bool = False
) -> ThrottlingTemplate:
    """Change what is given; `rules_new` adds rules. With `replaces_rules`, `rules` is the whole list. Raises NotFound."""
    template = _locked(template_id)
    rule_set = rule_sets.locked(template.rules_id)
    attributes = Attributes(values, is_partial=True)
    name = read_name(attributes, ThrottlingTemplate, pk=template.pk)
    draft = read_rule_set(attributes, kind=KIND, rule_set=rule_set, replaces_rules=replaces_rules)
    attributes.refuse_if_faulty()
    before = document(template)
    if name is not ABSENT:
        template.name = name
    template.save()
    rule_sets.update(rule_set, draft)
    template.rules = rule_set
    record(actor=actor, act="throttling_template.updated", target=template, before=before, after=document(template))
    return template


@atomic_act
def delete(template_id: int, *, actor: Actor) -> None:
    """Delete a template that no address uses. Raises NotFound, InUse, and NotAllowed for the default one."""
    template = _locked(template_id)
    if template.is_default:
        raise NotAllowed("The default throttling template cannot be deleted")
    used_by.refuse_if_used(used_by.of_template(template))
    before = document(template)
    record(actor=actor, act="throttling_template.deleted", target=template, before=before)
    rule_set = template.rules
    template.delete()
    rule_set.delete()


def document(template: ThrottlingTemplate) -> dict[str, Any]:
    """Return the template in the form in which `create` and `update` read it."""
    return {"name": template.name, **rule_sets.document(template.rules)}


def _locked(template_id: int) -> ThrottlingTemplate:
    template = ThrottlingTemplate.objects.select_for_update().filter(pk=template_id).first()
    if template is None:
        raise NotFound("The throttling template could not be found")
    return template
