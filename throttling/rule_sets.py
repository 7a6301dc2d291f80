"""Reads and writes the rule sets of addresses and templates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count, F, Model, Prefetch, QuerySet

from core import acts
from core.errors import Fault, Invalid
from core.references import Reference
from throttling.drafts import LIMITS, Draft, RuleFields
from throttling.limits import LimitRule, LimitTable
from throttling.models import Rule, RuleDomain, RuleSet, ThrottleProgram
from throttling.models.rule import MAX_RULES

_BATCH = 1_000
_PROGRAM = Rule._meta.get_field("throttle_program")
ALL_RULES = Rule.objects.select_related("throttle_program").prefetch_related("domains").order_by("pk")


def locked(rule_set_id: int) -> RuleSet:
    """Return the locked set with its rules, until the end of the transaction. Raises NotFound."""
    # It is gone where its owner was deleted since the caller looked.
    rule_set = acts.locked(RuleSet.objects.all(), rule_set_id, noun="record", no_key=False)
    load_rules(rule_set)
    return rule_set


def with_rules(path: str) -> "Prefetch[str]":
    """The rules of a set in their order, for `prefetch_related`: `path` leads to the set's `rules`."""
    return Prefetch(path, queryset=ALL_RULES.all())


def load_rules(rule_set: RuleSet) -> None:
    """Read the set's rules (again) with domains and programs, by one query: `rule_set.rules.all()` has them then."""
    rows = (
        Rule.objects.filter(rule_set=rule_set)
        .select_related("throttle_program")
        .annotate(domain_id=F("domains"), pattern=F("domains__pattern"), domain_position=F("domains__position"))
        .order_by("pk", "domains__position")
    )
    rules: dict[int, Rule] = {}
    domains: dict[int, list[RuleDomain]] = {}
    for row in rows:
        rule = rules.setdefault(row.pk, row)
        found = domains.setdefault(row.pk, [])
        if row.domain_id is not None:
            found.append(
                RuleDomain(
                    pk=row.domain_id, rule=rule, rule_set=rule_set, pattern=row.pattern, position=row.domain_position
                )
            )
    for pk, rule in rules.items():
        keep(rule, "domains", domains[pk])
    keep(rule_set, "rules", list(rules.values()))


def keep(owner: Model, name: str, found: Sequence[Model]) -> None:
    """Cache related records as `prefetch_related` does."""
    cache = vars(owner).setdefault("_prefetched_objects_cache", {})
    cache.pop(name, None)
    related = getattr(owner, name).get_queryset()
    related._result_cache, related._prefetch_done = list(found), True
    cache[name] = related


def rules_of(*rule_set_ids: int) -> QuerySet[Rule]:
    """The rules of these sets in their order, with domains and programs: two queries, however many there are."""
    return ALL_RULES.filter(rule_set_id__in=rule_set_ids)


def count_rules(rule_set_ids: Iterable[int]) -> dict[int, int]:
    """Return how many rules each of these sets has, for those that have any."""
    counted = Rule.objects.filter(rule_set_id__in=list(rule_set_ids)).order_by().values("rule_set_id")
    return dict(counted.annotate(total=Count("pk")).values_list("rule_set_id", "total"))


def create(kind: str, default: Mapping[str, Any], drafts: Sequence[Draft]) -> RuleSet:
    """Write a new set with its rules."""
    rule_set = RuleSet.objects.create(kind=kind, **default)
    keep(rule_set, "rules", [])
    add_rules(rule_set, drafts)
    return rule_set


def change(rule_set: RuleSet, default: Mapping[str, Any], drafts: Sequence[Draft] | None, *, replaces: bool) -> None:
    """Save the differences of a set whose rules were read when it was locked.

    The drafts are added or, with `replaces`, are what the set has then; None leaves the rules as they are.
    """
    acts.save_columns(rule_set, acts.assign(rule_set, default))
    if drafts is not None:
        _replace(rule_set, drafts) if replaces else add_rules(rule_set, drafts)


def add_rules(rule_set: RuleSet, drafts: Sequence[Draft]) -> list[Rule]:
    """Write new rules into free slots of a set whose rules have been read, in the order given."""
    if not drafts:
        return []
    before = list(rule_set.rules.all())
    used = {rule.slot for rule in before}
    free = (slot for slot in range(1, MAX_RULES + 1) if slot not in used)
    rules = Rule.objects.bulk_create(
        Rule(rule_set=rule_set, slot=slot, **draft.columns) for draft, slot in zip(drafts, free, strict=False)
    )
    _write_domains(rule_set, zip(rules, drafts, strict=True))
    _know_programs(rules)
    # What was written need not be read: new ids are greater than all before.
    keep(rule_set, "rules", [*before, *rules])
    return rules


def change_rule(rule_set: RuleSet, rule: Rule, draft: Draft) -> bool:
    """Save the differences of one rule of a (locked) set, and return whether there were any."""
    changed = acts.assign(rule, draft.columns)
    acts.save_columns(rule, changed)
    if has_other_domains(rule, draft):
        rule.domains.all().delete()
        _write_domains(rule_set, [(rule, draft)])
        return True
    return bool(changed)


def delete_rule(rule_set: RuleSet, rule: Rule) -> None:
    """Delete a rule of a (locked) set."""
    left = [each for each in rule_set.rules.all() if each.pk != rule.pk]
    rule.delete()
    keep(rule_set, "rules", left)


def has_other_domains(rule: Rule, draft: Draft) -> bool:
    """Return whether the draft gives the rule other domains, or another order of them."""
    return draft.domains is not None and draft.domains != [domain.pattern for domain in rule.domains.all()]


def document(rule_set: RuleSet) -> dict[str, Any]:
    """Return the set as plain values, as it is in the database now."""
    load_rules(rule_set)
    return rule_set.document()


def fields_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that restore a set to this document.

    Its rules are new ones: those that it had may be gone, and their ids with them.
    """
    return {
        **document["default"],
        "rules": [
            RuleFields(
                domains=rule["domains"],
                max_concurrent_connections=rule["max_concurrent_connections"],
                max_messages_per_hour=rule["max_messages_per_hour"],
                throttle_program=None
                if rule["throttle_program"] is None
                else Reference(rule["throttle_program"]["id"]),
            )
            for rule in document["rules"]
        ],
    }


def limit_table(rule_set: RuleSet, rules: Iterable[Rule]) -> LimitTable:
    """Return the set as a table of `throttling.limits`; `rules` are its rules, from `rules_of`."""
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


def _replace(rule_set: RuleSet, drafts: Sequence[Draft]) -> None:
    rules = {rule.pk: rule for rule in rule_set.rules.all()}
    named = [(rules[draft.id], draft) for draft in drafts if draft.id is not None]
    left = rules.keys() - {rule.pk for rule, _ in named}
    if left:
        Rule.objects.filter(pk__in=left).delete()
    rewritten = [(rule, draft) for rule, draft in named if has_other_domains(rule, draft)]
    if rewritten:
        # All leave before any arrives: a domain may move from one rule to another.
        RuleDomain.objects.filter(rule_id__in=[rule.pk for rule, _ in rewritten]).delete()
    changed = [rule for rule, draft in named if any(getattr(rule, key) != draft.columns[key] for key in draft.columns)]  # type: ignore[literal-required]
    for rule, draft in named:
        for name, value in draft.columns.items():
            setattr(rule, name, value)
    if changed:
        Rule.objects.bulk_update(changed, [*LIMITS, "throttle_program"], batch_size=100)
    _write_domains(rule_set, rewritten)
    _know_programs(changed)
    keep(rule_set, "rules", [rule for pk, rule in rules.items() if pk not in left])
    add_rules(rule_set, [draft for draft in drafts if draft.id is None])


def _know_programs(rules: Iterable[Rule]) -> None:
    """Read the programs of rules that were given only their ids, by one query, if there are any."""
    others = [rule for rule in rules if rule.throttle_program_id is not None and not _PROGRAM.is_cached(rule)]
    if others:
        found = ThrottleProgram.objects.in_bulk({rule.throttle_program_id for rule in others})
        for rule in others:
            if rule.throttle_program_id not in found:
                # Deleted since the reference was read: refused as an unknown one is.
                raise Invalid(Fault("throttle_program", "refers to a throttle program that does not exist"))
            rule.throttle_program = found[rule.throttle_program_id]


def _write_domains(rule_set: RuleSet, pairs: Iterable[tuple[Rule, Draft]]) -> None:
    written = {
        rule: [
            RuleDomain(rule=rule, rule_set=rule_set, pattern=pattern, position=position)
            for position, pattern in enumerate(draft.domains or ())
        ]
        for rule, draft in pairs
    }
    rows = [row for of_rule in written.values() for row in of_rule]
    if rows:
        RuleDomain.objects.bulk_create(rows, batch_size=_BATCH)
    for rule, of_rule in written.items():
        keep(rule, "domains", of_rule)
