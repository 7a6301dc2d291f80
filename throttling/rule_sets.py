"""Rule sets as their owners write and read them: the rows behind an address's or a template's rules."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, QuerySet

from core.attributes import Absent
from core.errors import NotFound
from throttling.limits import LimitRule, LimitTable
from throttling.models import Rule, RuleDomain, RuleSet
from throttling.models.rule import MAX_RULES
from throttling.reading import LIMITS, RuleDraft, RuleSetDraft

_BATCH = 1_000


def locked(rule_set_id: int) -> RuleSet:
    """Return the set; whoever else would change it waits until the transaction ends. Raises NotFound."""
    rule_set = RuleSet.objects.select_for_update().filter(pk=rule_set_id).first()
    if rule_set is None:
        # Its owner was deleted since the caller looked.
        raise NotFound
    return rule_set


def rules_of(*rule_set_ids: int) -> QuerySet[Rule]:
    """The rules of these sets in their order, with domains and programs: two queries, however many there are."""
    return (
        Rule.objects.filter(rule_set_id__in=rule_set_ids)
        .select_related("throttle_program")
        .prefetch_related("domains")
        .order_by("pk")
    )


def count_rules(rule_set_ids: Iterable[int]) -> dict[int, int]:
    """Return how many rules each of these sets has, for those that have any."""
    counted = Rule.objects.filter(rule_set_id__in=list(rule_set_ids)).order_by().values("rule_set_id")
    return dict(counted.annotate(total=Count("pk")).values_list("rule_set_id", "total"))


def create(draft: RuleSetDraft, *, kind: str) -> RuleSet:
    """Write a new set with its rules."""
    rule_set = RuleSet.objects.create(kind=kind, **draft.default)
    add_rules(rule_set, draft.rules)
    return rule_set


def update(rule_set: RuleSet, draft: RuleSetDraft) -> None:
    """Write what the draft gives into a (locked) set; nothing else changes."""
    if draft.default:
        for name, value in draft.default.items():
            setattr(rule_set, name, value)
        rule_set.save(update_fields=list(draft.default))
    if draft.replaces_rules:
        named = {rule.id: rule for rule in draft.rules if rule.id is not None}
        rule_set.rules.exclude(pk__in=named).delete()
        rewritten = [pk for pk, rule in named.items() if not isinstance(rule.domains, Absent)]
        # All leave before any arrives: a domain may move from one rule to another.
        RuleDomain.objects.filter(rule_id__in=rewritten).delete()
        rows = Rule.objects.in_bulk(list(named))
        for pk, rule in named.items():
            for name, value in rule.columns.items():
                setattr(rows[pk], name, value)
        Rule.objects.bulk_update(rows.values(), [*LIMITS, "throttle_program"], batch_size=100)
        _write_domains(rule_set, ((rows[pk], rule) for pk, rule in named.items()))
    add_rules(rule_set, [rule for rule in draft.rules if rule.id is None])


def add_rules(rule_set: RuleSet, drafts: list[RuleDraft]) -> list[Rule]:
    """Write new rules into free slots, in the order given."""
    if not drafts:
        return []
    used = set(rule_set.rules.values_list("slot", flat=True))
    free = (slot for slot in range(1, MAX_RULES + 1) if slot not in used)
    rules = Rule.objects.bulk_create(
        Rule(rule_set=rule_set, slot=slot, **draft.columns) for draft, slot in zip(drafts, free, strict=False)
    )
    _write_domains(rule_set, zip(rules, drafts, strict=True))
    return rules


def change_rule(rule_set: RuleSet, rule: Rule, draft: RuleDraft) -> None:
    """Write what the draft gives into one rule of a (locked) set."""
    for name, value in draft.columns.items():
        setattr(rule, name, value)
    rule.save()
    if not isinstance(draft.domains, Absent):
        rule.domains.all().delete()
        _write_domains(rule_set, [(rule, draft)])


def rule_document(rule: Rule) -> dict[str, Any]:
    """Return a rule in the form in which acts read it."""
    return {
        "id": rule.pk,
        "domains": [domain.pattern for domain in rule.domains.all()],
        "max_concurrent_connections": rule.max_concurrent_connections,
        "max_messages_per_hour": rule.max_messages_per_hour,
        "throttle_program": None if rule.throttle_program_id is None else {"id": rule.throttle_program_id},
    }


def document(rule_set: RuleSet) -> dict[str, Any]:
    """Return `default` and `rules` in the form in which acts read them, for the audit trail."""
    return {
        "default": {name: getattr(rule_set, name) for name in LIMITS},
        "rules": [rule_document(rule) for rule in rules_of(rule_set.pk)],
    }


def limit_table(rule_set: RuleSet, rules: Iterable[Rule]) -> LimitTable:
    """Return the set as `throttling.limits` wants it; `rules` are its rules, from `rules_of`."""
    return LimitTable.of(
        (
            LimitRule(
                rule.pk,
                tuple(domain.pattern for domain in rule.domains.all()),
                rule.max_concurrent_connections,
                rule.max_messages_per_hour,
                rule.throttle_program_id,
            )
            for rule in rules
        ),
        max_concurrent_connections=rule_set.max_concurrent_connections,
        max_messages_per_hour=rule_set.max_messages_per_hour,
    )


def _write_domains(rule_set: RuleSet, pairs: Iterable[tuple[Rule, RuleDraft]]) -> None:
    RuleDomain.objects.bulk_create(
        (
            RuleDomain(rule=rule, rule_set=rule_set, pattern=domain.pattern, position=position)
            for rule, draft in pairs
            if not isinstance(draft.domains, Absent)
            for position, domain in enumerate(draft.domains)
        ),
        batch_size=_BATCH,
    )
