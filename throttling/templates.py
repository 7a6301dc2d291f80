"""Create, change and delete throttling templates. Invalid names all faults at once, and nothing has changed then."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack, cast

from core.acts import assign, locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Faults, NotAllowed
from throttling import rule_sets, used_by
from throttling.drafts import LIMITS, Draft, RuleFields, draft_rules, validate_default
from throttling.models import Rule, RuleSet, ThrottlingTemplate
from throttling.names import validate_name

KIND = RuleSet.Kind.TEMPLATE


class TemplateFields(TypedDict, total=False):
    """The input of create and change: columns, default limits, and rules.

    `rules` is the whole list, in which an entry with an `id` changes that rule and a rule that is not named goes;
    `added_rules` adds.
    """

    name: str
    max_concurrent_connections: int
    max_messages_per_hour: int
    rules: Sequence[RuleFields]
    added_rules: Sequence[RuleFields]


@atomic_act
def create(*, actor: Actor, faults: Faults | None = None, **given: Unpack[TemplateFields]) -> ThrottlingTemplate:
    """Create a template: needs a name and both limits of the default."""
    faults = Faults() if faults is None else faults
    if "name" in given:
        validate_name(given["name"], ThrottlingTemplate, pk=None, faults=faults)
    drafts = validate_rules(given, [], kind=KIND, faults=faults)
    faults.refuse()
    rule_set = rule_sets.create(KIND, default_of(given), drafts or [])
    template = ThrottlingTemplate.objects.create(name=given["name"], rules=rule_set)
    record(actor=actor, act="throttling_template.created", target=template, after=template.document())
    return template


@atomic_act
def change(
    template_id: int, *, actor: Actor, faults: Faults | None = None, **given: Unpack[TemplateFields]
) -> ThrottlingTemplate:
    """Change the given fields. Raises NotFound."""
    faults = Faults() if faults is None else faults
    template = _locked(template_id)
    if "name" in given and given["name"] != template.name:
        validate_name(given["name"], ThrottlingTemplate, pk=template.pk, faults=faults)
    drafts = validate_rules(given, template.rules.rules.all(), kind=KIND, faults=faults)
    faults.refuse()
    before = template.document()
    assign(template, {"name": given["name"]} if "name" in given else {})
    rule_sets.change(template.rules, default_of(given), drafts, replaces="rules" in given)
    save_change(template, before, act="throttling_template.changed", actor=actor, document=ThrottlingTemplate.document)
    return template


@atomic_act
def delete(template_id: int, *, actor: Actor) -> None:
    """Delete a template that no address uses. Raises NotFound, InUse, and NotAllowed for the default one."""
    template = _locked(template_id)
    if template.is_default:
        raise NotAllowed("The default throttling template cannot be deleted")
    used_by.refuse_if_used(used_by.of_template(template))
    record(actor=actor, act="throttling_template.deleted", target=template, before=template.document())
    rule_set = template.rules
    template.delete()
    rule_set.delete()


def default_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given columns of a rule set."""
    return {name: given[name] for name in LIMITS if name in given}


def validate_rules(
    given: Mapping[str, Any], existing: Sequence[Rule] | Any, *, kind: str, faults: Faults
) -> list[Draft] | None:
    """Validate the default and the rules of an owner; None if no rules are given."""
    validate_default(default_of(given), kind=kind, faults=faults)
    for name in ("rules", "added_rules"):
        if name in given:
            return draft_rules(given[name], list(existing), path=name, replaces=name == "rules", faults=faults)
    return None


def fields_of(document: Mapping[str, Any]) -> TemplateFields:
    """Return the arguments of `change` that restore a template to this document."""
    return cast(TemplateFields, {"name": document["name"], **rule_sets.fields_of(document)})


def _locked(template_id: int) -> ThrottlingTemplate:
    rows = ThrottlingTemplate.objects.select_related("rules")
    template = locked(rows, template_id, no_key=False, of=("self", "rules"))
    rule_sets.load_rules(template.rules)
    return template
