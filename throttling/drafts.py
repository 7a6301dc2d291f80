"""Drafts of throttling rules: validated as a whole before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from core.errors import TAKEN, Faults
from core.references import Reference, resolve
from core.texts import quoted
from throttling import domains
from throttling.models import Rule, RuleSet, ThrottleProgram
from throttling.models.rule import MAX_RULES
from throttling.models.rule_set import HIGHEST_LIMIT

LIMITS = ("max_concurrent_connections", "max_messages_per_hour")


class RuleFields(TypedDict, total=False):
    """The input of a rule. In a list that replaces a set's rules, `id` is the rule to change; None is a new one."""

    id: int
    domains: Sequence[str]
    max_concurrent_connections: int
    max_messages_per_hour: int
    throttle_program: Reference | None


class RuleColumns(TypedDict, total=False):
    """The columns of a rule's own row."""

    max_concurrent_connections: int
    max_messages_per_hour: int
    throttle_program_id: int | None


# Of all rules that one request gives.
MOST_DOMAINS = 10_000


@dataclass(slots=True)
class Pattern:
    """A domain of a rule: normalized, as given, and its position."""

    text: str
    given: str
    path: str


@dataclass(slots=True)
class Draft:
    """One rule, validated as far as possible alone. None, or an omitted column, keeps a value."""

    path: str
    id: int | None
    patterns: list[Pattern] | None
    columns: RuleColumns
    fields: RuleFields

    @property
    def domains(self) -> list[str] | None:
        """The domains as they are stored."""
        return None if self.patterns is None else [each.text for each in self.patterns]


def validate_default(given: Mapping[str, object], *, kind: str, faults: Faults) -> None:
    """Validate the limits of a rule set's default: those of an address can be None for the template's."""
    for name, value in given.items():
        faults.integer(name, value, lowest=0, highest=HIGHEST_LIMIT, is_nullable=kind == RuleSet.Kind.ADDRESS)


def draft_of(fields: RuleFields, *, path: str = "", is_whole: bool = True, faults: Faults) -> Draft:
    """Return a rule as far as it can be validated alone; `path` is its position. An incomplete rule keeps the rest."""
    at = f"{path}." if path else ""
    columns: RuleColumns = {}
    patterns = None
    if "domains" in fields:
        patterns = patterns_of(fields["domains"], f"{at}domains", faults)
    elif is_whole:
        faults.add(f"{at}domains", "is required")
    for name in LIMITS:
        if name in fields:
            faults.integer(f"{at}{name}", fields[name], lowest=0, highest=HIGHEST_LIMIT)  # type: ignore[literal-required]
            columns[name] = fields[name]  # type: ignore[literal-required]
        elif is_whole:
            faults.add(f"{at}{name}", "is required")
    return Draft(at, fields.get("id"), patterns, columns, fields)


def patterns_of(texts: Sequence[str], path: str, faults: Faults) -> list[Pattern]:
    """Return domain patterns: at least one, each valid. Uniqueness is checked by the set."""
    if not texts:
        faults.add(path, "must contain at least one domain name")
    if has_too_many([texts], path, faults):
        return []
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(Pattern(domains.pattern(text), text, f"{path}[{index}]"))
        except domains.NotADomain:
            faults.add(f"{path}[{index}]", f"{quoted(text)} is not a valid domain name")
    return found


def has_too_many(lists: Iterable[Sequence[str]], path: str, faults: Faults) -> bool:
    """Refuse more domains than are written at once: others who write wait meanwhile."""
    if sum(map(len, lists)) <= MOST_DOMAINS:
        return False
    faults.add(path, f"must not have more than {MOST_DOMAINS:,} domains in all")
    return True


def refuse_taken(patterns: Iterable[Pattern], taken: set[str], faults: Faults) -> None:
    """Add a fault for each duplicate pattern."""
    taken = set(taken)
    for pattern in patterns:
        if pattern.text in taken:
            faults.add(pattern.path, f"{quoted(pattern.given)} {TAKEN}")
        taken.add(pattern.text)


def draft_rules(
    given: Sequence[RuleFields], existing: Sequence[Rule], *, path: str, replaces: bool, faults: Faults
) -> list[Draft]:
    """Validate rules that are added to a set or, with `replaces`, replace its rules; `path` is the list."""
    if has_too_many([fields.get("domains", ()) for fields in given], path, faults):
        return []
    too_many = f"must not make more than {MAX_RULES} rules"
    if len(given) > MAX_RULES:
        # None of them is looked at: a request has room for tens of thousands, and this is done under a lock.
        faults.add(path, too_many)
        return []
    ids = {rule.pk for rule in existing}
    drafts = []
    for index, fields in enumerate(given):
        draft = draft_of(fields, path=f"{path}[{index}]", faults=faults)
        if draft.id is not None and draft.id not in ids:
            faults.add(f"{draft.path}id", "is not a rule of this set")
        drafts.append(draft)
    named = [draft.id for draft in drafts if draft.id is not None]
    if (0 if replaces else len(existing)) + len(given) > MAX_RULES:
        faults.add(path, too_many)
    if len(named) != len(set(named)):
        faults.add(path, "must not name a rule twice")
    check_together(drafts, [] if replaces else existing, faults)
    return drafts


def check_together(drafts: Sequence[Draft], others: Iterable[Rule], faults: Faults) -> None:
    """Refuse domains that another rule of the set has, and throttle programs that do not exist (one query at most)."""
    taken = {domain.pattern for rule in others for domain in rule.domains.all()}
    refuse_taken([pattern for draft in drafts for pattern in draft.patterns or ()], taken, faults)
    using = [draft for draft in drafts if "throttle_program" in draft.fields]
    programs = resolve(
        ThrottleProgram.objects.only("pk", "name_key"), [draft.fields["throttle_program"] for draft in using]
    )
    for draft in using:
        reference, path = draft.fields["throttle_program"], f"{draft.path}throttle_program"
        draft.columns["throttle_program_id"] = programs.id_of(reference, path, "throttle program", faults)
