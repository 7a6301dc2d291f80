"""What is given as throttling rules and defaults, read without trust and checked as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.attributes import ABSENT, Absent, Attributes, only_given, quoted
from core.references import Reference, read_reference, resolve, whole_id
from throttling import domains
from throttling.models import Rule, RuleDomain, RuleSet, ThrottleProgram
from throttling.models.rule import MAX_RULES
from throttling.models.rule_set import HIGHEST_LIMIT

LIMITS = ("max_concurrent_connections", "max_messages_per_hour")
TAKEN = "has already been taken"


@dataclass(slots=True)
class GivenDomain:
    """One domain of a rule, and where and how it was written."""

    pattern: str
    path: str
    text: str


@dataclass(slots=True)
class RuleDraft:
    """One rule as given; what is ABSENT stays as it is. `id` is the rule that it changes, None for a new one."""

    given: Attributes
    domains: list[GivenDomain] | Absent
    limits: dict[str, int]
    throttle_program: Reference | Absent | None
    id: int | None = None
    throttle_program_id: int | Absent | None = ABSENT

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the rule's own row that are given."""
        return only_given({**self.limits, "throttle_program_id": self.throttle_program_id})


@dataclass(slots=True)
class RuleSetDraft:
    """What is to become of a rule set; `kept` are the rules that stay, None where rules are only added."""

    default: dict[str, int | None]
    rules: list[RuleDraft] = field(default_factory=list)
    replaces_rules: bool = False


def read_default(attributes: Attributes, *, kind: str) -> dict[str, int | None]:
    """Return the given keys of `default`. An address's may be null or missing; a template's must be numbers."""
    is_address = kind == RuleSet.Kind.ADDRESS
    part = attributes.part("default", is_required=not is_address)
    if not isinstance(part, Attributes):
        return {}
    return only_given(
        {name: read_limit(part, name, is_required=not is_address, is_nullable=is_address) for name in LIMITS}
    )


def read_limit(part: Attributes, name: str, *, is_required: bool = True, is_nullable: bool = False) -> Any:
    """Return one limit, from 0 (unlimited) to 2^31-1."""
    return part.integer(name, lowest=0, highest=HIGHEST_LIMIT, is_required=is_required, is_nullable=is_nullable)


def read_rule(part: Attributes) -> RuleDraft:
    """Return one rule as far as it can be judged alone."""
    return RuleDraft(
        given=part,
        domains=read_domains(part),
        limits=only_given({name: read_limit(part, name) for name in LIMITS}),
        throttle_program=read_reference(part, "throttle_program", is_required=False, is_nullable=True),
    )


def read_domains(part: Attributes) -> list[GivenDomain] | Absent:
    """Return the domain patterns of a rule: at least one, each valid; whether they are unique is for the set to say."""
    entries = part.array("domains")
    if isinstance(entries, Absent):
        return ABSENT
    if not entries:
        return part.fault("domains", "must contain at least one domain name")
    found = []
    for index, text in enumerate(entries):
        path = f"domains[{index}]"
        if not isinstance(text, str):
            part.fault(path, "must be a string")
            continue
        try:
            found.append(GivenDomain(domains.pattern(text), part.path_of(path), text))
        except domains.NotADomain:
            part.fault(path, f"{quoted(text)} is not a valid domain name")
    return found


def read_rule_set(
    attributes: Attributes, *, kind: str, rule_set: RuleSet | None = None, replaces_rules: bool = False
) -> RuleSetDraft:
    """Read `default` and the rules, and check them together with the (locked) set's own rules.

    `rules` is the whole list, for a new set or, with `replaces_rules`, for one that is edited as a whole: an entry with an
    `id` changes that rule, one without is new, a rule that is not named goes. `rules_new` adds to an existing set.
    """
    draft = RuleSetDraft(read_default(attributes, kind=kind), replaces_rules=replaces_rules and attributes.has("rules"))
    name, other = ("rules", "rules_new") if rule_set is None or replaces_rules else ("rules_new", "rules")
    if attributes.has(other):
        reason = "may be given on an update only" if other == "rules_new" else (
            "may not be given on an update: use rules_new to add rules, and the rules' own URLs to change or delete them"
        )  # fmt: skip
        attributes.fault(other, reason)
    parts = attributes.parts(name, is_required=False, is_partial=False)
    if isinstance(parts, Absent):
        return draft
    existing = {} if rule_set is None else _existing(rule_set)
    for part in parts:
        if isinstance(part, Attributes):
            rule = read_rule(part)
            if draft.replaces_rules and part.values.get("id") is not None:
                rule.id = whole_id(part.values["id"])
                if rule.id not in existing:
                    part.fault("id", "is no rule of this set")
            draft.rules.append(rule)
    staying = 0 if draft.replaces_rules else len(existing)
    if staying + len(parts) > MAX_RULES:
        attributes.fault(name, f"must not make more than {MAX_RULES} rules")
    named = [rule.id for rule in draft.rules if rule.id is not None]
    if len(named) != len(set(named)):
        attributes.fault(name, "must not name a rule twice")
    taken = set() if draft.replaces_rules else {pattern for patterns in existing.values() for pattern in patterns}
    check_together(attributes, draft.rules, taken=taken)
    return draft


def check_together(attributes: Attributes, rules: Iterable[RuleDraft], *, taken: set[str]) -> None:
    """Refuse domains that another rule of the set has, and throttle programs that do not exist (one query)."""
    rules = list(rules)
    taken = set(taken)
    for rule in rules:
        if isinstance(rule.domains, Absent):
            continue
        for domain in rule.domains:
            if domain.pattern in taken:
                attributes.fault_at(domain.path, f"{quoted(domain.text)} {TAKEN}")
            taken.add(domain.pattern)
    programs = resolve(ThrottleProgram.objects.only("pk", "name_key"), [rule.throttle_program for rule in rules])
    for rule in rules:
        rule.throttle_program_id = programs.id_of(rule.throttle_program, attributes, "throttle program")


def _existing(rule_set: RuleSet) -> dict[int, list[str]]:
    """Return the patterns of each rule of the set."""
    found: dict[int, list[str]] = {pk: [] for pk in Rule.objects.filter(rule_set=rule_set).values_list("pk", flat=True)}
    for rule_id, pattern in RuleDomain.objects.filter(rule_set=rule_set).values_list("rule_id", "pattern"):
        found[rule_id].append(pattern)
    return found
