"""Which limit applies: the one place that decides it. Pure; rows are read elsewhere (throttling/rule_sets.py).

The first match wins, whole: the address's own rules, then its template's, then the default. Only the address's default has
gaps (None), and each is filled by the template's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from throttling.domains import ITSELF_AND_SUBDOMAINS, SUBDOMAINS, patterns_matching

UNLIMITED = 0


class Source(StrEnum):
    """Whose rule or default it is."""

    ADDRESS = "address"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A rule as far as limits need it; `domains` are normalized patterns."""

    id: int
    domains: tuple[str, ...]
    max_concurrent_connections: int
    max_messages_per_hour: int
    throttle_program_id: int | None = None


@dataclass(frozen=True, slots=True)
class LimitTable:
    """One rule set, indexed by pattern. A None in its defaults means that the next set decides."""

    rule_of: Mapping[str, LimitRule]
    max_concurrent_connections: int | None
    max_messages_per_hour: int | None

    @classmethod
    def of(
        cls,
        rules: Iterable[LimitRule],
        *,
        max_concurrent_connections: int | None,
        max_messages_per_hour: int | None,
    ) -> "LimitTable":
        """Index the rules. A pattern is in one rule only (the database holds that); if not, the earlier rule keeps it."""
        rule_of: dict[str, LimitRule] = {}
        for rule in rules:
            for domain in rule.domains:
                rule_of.setdefault(domain, rule)
        return cls(rule_of, max_concurrent_connections, max_messages_per_hour)


class Considered(NamedTuple):
    """One step of a decision: a pattern that would apply, and the rule of this set that has it, if any."""

    source: Source
    pattern: str
    rule: LimitRule | None


class EffectiveLimits(NamedTuple):
    """What an address may do towards one domain, and why. 0 is unlimited.

    `rule`, `pattern` and `source` are None when the default decides; `connections_from` and `messages_from` say whose rule
    or default each number is.
    """

    domain: str
    max_concurrent_connections: int
    max_messages_per_hour: int
    connections_from: Source
    messages_from: Source
    source: Source | None = None
    pattern: str | None = None
    rule: LimitRule | None = None


def effective(own: LimitTable, template: LimitTable, domain: str) -> EffectiveLimits:
    """Return the limits of an address with these two sets towards the (normalized) domain."""
    patterns = tuple(patterns_matching(domain))
    for source, table in ((Source.ADDRESS, own), (Source.TEMPLATE, template)):
        rule_of = table.rule_of
        for pattern in patterns:
            rule = rule_of.get(pattern)
            if rule is not None:
                return EffectiveLimits(
                    domain,
                    rule.max_concurrent_connections,
                    rule.max_messages_per_hour,
                    source,
                    source,
                    source,
                    pattern,
                    rule,
                )
    connections, connections_from = _default(own.max_concurrent_connections, template.max_concurrent_connections)
    messages, messages_from = _default(own.max_messages_per_hour, template.max_messages_per_hour)
    return EffectiveLimits(domain, connections, messages, connections_from, messages_from)


def trace(own: LimitTable, template: LimitTable, domain: str) -> list[Considered]:
    """Return what `effective` considers, in order. The last step is the winner, unless its rule is None: the default."""
    steps = []
    for source, table in ((Source.ADDRESS, own), (Source.TEMPLATE, template)):
        for pattern in patterns_matching(domain):
            rule = table.rule_of.get(pattern)
            steps.append(Considered(source, pattern, rule))
            if rule is not None:
                return steps
    return steps


def _default(own: int | None, template: int | None) -> tuple[int, Source]:
    if own is not None:
        return own, Source.ADDRESS
    # A template's defaults are never null (a CHECK holds it).
    return (UNLIMITED if template is None else template), Source.TEMPLATE


def applicable(own: LimitTable, template: LimitTable) -> list[tuple[Source, LimitRule]]:
    """Return the rules that win for at least one domain: own ones first, each side by id.

    Every pattern is tried on the domain it names and on a subdomain that no pattern can name. That is enough: a rule that
    beats a wildcard there beats it on all its subdomains.
    """
    winners: dict[tuple[Source, int], LimitRule] = {}
    for source, table in ((Source.ADDRESS, own), (Source.TEMPLATE, template)):
        for pattern, rule in table.rule_of.items():
            name = pattern.removeprefix(ITSELF_AND_SUBDOMAINS).removeprefix(SUBDOMAINS)
            for domain in (name, f"?.{name}"):
                found = effective(own, template, domain)
                if found.rule is rule and found.source == source:
                    winners[source, rule.id] = rule
    return [(source, winners[source, pk]) for source, pk in sorted(winners)]
