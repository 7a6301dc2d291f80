"""A template's rules as rows of a table: written out, and read back as the whole list."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.errors import Fault, Invalid
from throttling import rule_sets
from throttling.models import RuleSet
from throttling.models.rule import MAX_RULES

COLUMNS = ("domains", "max_concurrent_connections", "max_messages_per_hour", "throttle_program")


def rows_of(rule_set: RuleSet) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each rule; its domains stand apart by blanks."""
    for rule in rule_sets.rules_of(rule_set.pk):
        yield (
            " ".join(domain.pattern for domain in rule.domains.all()),
            rule.max_concurrent_connections,
            rule.max_messages_per_hour,
            "" if rule.throttle_program is None else rule.throttle_program.name,
        )


def read(rows: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the rules in the form in which acts read them; raises Invalid with a fault for each line that is none."""
    rules: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for number, row in enumerate(rows, start=2):
        if len(rules) > MAX_RULES:
            break  # The act says that these are too many.
        program = row.get("throttle_program", "").strip()
        rule: dict[str, Any] = {
            "domains": row.get("domains", "").split(),
            "throttle_program": {"name": program} if program else None,
        }
        for name in ("max_concurrent_connections", "max_messages_per_hour"):
            text = row.get(name, "").strip().replace(",", "")
            if not (text.isascii() and text.isdigit() and len(text) <= 10):
                faults.append(Fault(f"line {number}.{name}", "must be a whole number; 0 means unlimited"))
                continue
            rule[name] = int(text)
        rules.append(rule)
    if faults:
        raise Invalid(*faults)
    return rules
