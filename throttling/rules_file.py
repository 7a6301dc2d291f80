"""The CSV file of a template's rules: export, and import as the complete list."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from core.csv_table import NoWholeNumber, Row
from core.errors import Fault, Invalid
from core.labels import NOTHING, Labels, Unreadable
from core.references import Reference
from throttling import domains, rule_sets
from throttling.drafts import MOST_DOMAINS, RuleFields
from throttling.models import Rule, RuleSet, ThrottleProgram

COLUMNS = ("domains", "max_concurrent_connections", "max_messages_per_hour", "throttle_program")
_PLACE = re.compile(r"rules\[([0-9]+)\]\.?")


def rows_of(rule_set: RuleSet) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each rule; its domains are separated by spaces."""
    programs = _programs()
    for rule in rule_sets.rules_of(rule_set.pk):
        yield (
            " ".join(domain.pattern for domain in rule.domains.all()),
            rule.max_concurrent_connections,
            rule.max_messages_per_hour,
            programs.of(rule.throttle_program_id),
        )


def read(rows: Sequence[Row], rule_set: RuleSet) -> list[RuleFields]:
    """Return the rules as input of a change; raises Invalid with a fault for each invalid line.

    An empty cell leaves what the set's rule for the same domains has.
    """
    if sum(len(row.code("domains").split()) for row in rows) > MOST_DOMAINS:
        # Before they are compared: each takes some work.
        raise Invalid(Fault("domains", f"must not have more than {MOST_DOMAINS:,} domains in all"))
    existing = {
        frozenset(each.pattern for each in rule.domains.all()): rule for rule in rule_sets.rules_of(rule_set.pk)
    }
    programs = _programs()
    faults: list[Fault] = []
    rules = [_rule(row, existing, programs, faults) for row in rows]
    if faults:
        raise Invalid(*faults)
    return rules


def at_lines(refusal: Invalid, rows: Sequence[Row]) -> Invalid:
    """Return the refusal of a change with these rows' rules, with the lines of the file in its faults."""
    faults = []
    for fault in refusal.faults:
        if (place := _PLACE.match(fault.path)) and int(place[1]) < len(rows):
            rest = fault.path[place.end() :]
            line = f"line {rows[int(place[1])].line}"
            fault = Fault(f"{line}.{rest}" if rest else line, fault.message)
        faults.append(fault)
    return Invalid(*faults)


def _rule(row: Row, existing: dict[frozenset[str], Rule], programs: Labels, faults: list[Fault]) -> RuleFields:
    patterns = row.code("domains").split()
    before = existing.get(frozenset(_compared(patterns)))
    rule: RuleFields = {"domains": patterns}
    for name in ("max_concurrent_connections", "max_messages_per_hour"):
        try:
            rule[name] = row.number(name) if row.code(name) or before is None else getattr(before, name)
        except NoWholeNumber as problem:
            faults.append(Fault(f"line {row.line}.{name}", f"{problem}; 0 means unlimited"))
    label = row.text("throttle_program")
    program = None if before is None else before.throttle_program_id
    if label:
        try:
            program = None if label.lower() == NOTHING else programs.pk_of(label)
        except Unreadable as problem:
            faults.append(Fault(f"line {row.line}.throttle_program", str(problem)))
    rule["throttle_program"] = None if program is None else Reference(program)
    return rule


def _compared(patterns: Sequence[str]) -> Iterator[str]:
    """Yield the patterns as they are stored; those that are none are for the act to refuse."""
    for text in patterns:
        try:
            yield domains.pattern(text)
        except domains.NotADomain:
            yield text


def _programs() -> Labels:
    return Labels(ThrottleProgram.objects.values_list("pk", "name"))
