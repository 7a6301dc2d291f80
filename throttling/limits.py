"""The limit function: which limit applies. Pure; rows are read elsewhere (throttling/rule_sets.py).

The first match wins, whole: the address's own rules, then its template's, then the default. Only the address's default has
gaps (None), and each is filled by the template's. Caps (back-off, warm-up, drain, one set by hand) come after that: the
least number wins, 0 being unlimited.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from throttling.backoff import reduced
from throttling.domains import ITSELF_AND_SUBDOMAINS, SUBDOMAINS, patterns_matching

UNLIMITED = 0


class Source(StrEnum):
    """The owner of a rule or default."""

    ADDRESS = "address"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class LimitRule:
    """The fields of a rule that limits need; `domains` are normalized patterns."""

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


# An address's own rule set, and its template's.
type Layers = tuple[LimitTable, LimitTable]
# Whose they are.
LAYERS = (Source.ADDRESS, Source.TEMPLATE)
# Stands for a rule's id where none wins: the default. No row has it.
NO_RULE = 0


class CapKind(StrEnum):
    """The cause of a cap."""

    THROTTLE_PROGRAM = "throttle_program"
    WARM_UP = "warm_up"
    DRAIN = "drain"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Cap:
    """An upper bound on top of the rules, for a time. In a cap as in a rule, 0 is unlimited: it bounds nothing; None likewise.

    `until` is exclusive; None: until somebody takes it away. `rule_id` restricts it to recipients for whom this rule wins (0:
    those for whom no rule does), `domains` to those whom one of these normalized patterns matches; None: no restriction.

    A percentage, if given, is of the limit that the rules give, and stands instead of the number: so the cap follows the rule,
    and a node whose revision has another limit than the panel obeys the percentage of its own.
    """

    kind: CapKind
    max_messages_per_hour: int | None = None
    max_concurrent_connections: int | None = None
    until: datetime.datetime | None = None
    rule_id: int | None = None
    domains: frozenset[str] | None = None
    percent_of_messages: int | None = None
    percent_of_connections: int | None = None

    def of(self, messages: int, connections: int) -> "Cap":
        """Return it with the numbers that it has where the rules give these limits."""
        if self.percent_of_messages is not None:
            messages = reduced(messages, percent=self.percent_of_messages)
            self = replace(self, max_messages_per_hour=messages or None)
        if self.percent_of_connections is not None:
            connections = reduced(connections, percent=self.percent_of_connections)
            self = replace(self, max_concurrent_connections=connections or None)
        return self

    def applies(self, rule: LimitRule | None, patterns: tuple[str, ...], at: datetime.datetime) -> bool:
        """Return whether it applies to a domain, given its winning rule and matching patterns."""
        if self.until is not None and at >= self.until:
            return False
        if self.rule_id is not None and self.rule_id != (NO_RULE if rule is None else rule.id):
            return False
        return self.domains is None or not self.domains.isdisjoint(patterns)


class Considered(NamedTuple):
    """One step of a decision: a matching pattern, and the rule of this set that has it, if any."""

    source: Source
    pattern: str
    rule: LimitRule | None


class EffectiveLimits(NamedTuple):
    """The limits of an address for one domain, and their sources. 0 is unlimited.

    `rule`, `pattern` and `source` are None when the default decides; `connections_from` and `messages_from` say whose rule,
    default or cap each number is. `caps` are the caps that decided a number, the connections' first.
    """

    domain: str
    max_concurrent_connections: int
    max_messages_per_hour: int
    connections_from: Source | CapKind
    messages_from: Source | CapKind
    source: Source | None = None
    pattern: str | None = None
    rule: LimitRule | None = None
    caps: tuple[Cap, ...] = ()


def effective(layers: Layers, caps: Sequence[Cap], domain: str, at: datetime.datetime | None = None) -> EffectiveLimits:
    """Return the limits of an address with these rule sets (its own, its template's) and caps, to the (normalized) domain.

    The layers decide first, whole, as the caps were not there. Then each number becomes the least of it and of the caps that
    apply at the time `at`, 0 being unlimited. Without caps the time does not matter.
    """
    patterns = tuple(patterns_matching(domain))
    limits = _of_layers(layers, domain, patterns)
    if caps:
        if at is None:
            raise ValueError("Caps apply at a time")
        ruled = limits.max_messages_per_hour, limits.max_concurrent_connections
        applying = [cap.of(*ruled) for cap in caps if cap.applies(limits.rule, patterns, at)]
        limits = _capped(limits, applying)
    return limits


def trace(layers: Layers, domain: str) -> list[Considered]:
    """Return the steps of the evaluation, in order. The last step is the winner, unless its rule is None: the default.

    Caps come after it: those that decided are `EffectiveLimits.caps`.
    """
    steps = []
    for source, table in zip(LAYERS, layers, strict=True):
        for pattern in patterns_matching(domain):
            rule = table.rule_of.get(pattern)
            steps.append(Considered(source, pattern, rule))
            if rule is not None:
                return steps
    return steps


def _of_layers(layers: Layers, domain: str, patterns: tuple[str, ...]) -> EffectiveLimits:
    for source, table in zip(LAYERS, layers, strict=True):
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
    own, template = layers
    connections, connections_from = _default(own.max_concurrent_connections, template.max_concurrent_connections)
    messages, messages_from = _default(own.max_messages_per_hour, template.max_messages_per_hour)
    return EffectiveLimits(domain, connections, messages, connections_from, messages_from)


def _capped(limits: EffectiveLimits, caps: Iterable[Cap]) -> EffectiveLimits:
    """Reduce each number to the lowest cap. Of equal caps the first decides, of a limit and an equal cap the limit."""
    deciding: dict[str, Cap] = {}
    for cap in caps:
        connections, messages = cap.max_concurrent_connections, cap.max_messages_per_hour
        if connections and not 0 < limits.max_concurrent_connections <= connections:
            limits = limits._replace(max_concurrent_connections=connections, connections_from=cap.kind)
            deciding["connections"] = cap
        if messages and not 0 < limits.max_messages_per_hour <= messages:
            limits = limits._replace(max_messages_per_hour=messages, messages_from=cap.kind)
            deciding["messages"] = cap
    found = dict.fromkeys(deciding[name] for name in ("connections", "messages") if name in deciding)
    return limits._replace(caps=tuple(found))


def _default(own: int | None, template: int | None) -> tuple[int, Source]:
    if own is not None:
        return own, Source.ADDRESS
    # A template's defaults are never null (a CHECK holds it).
    return (UNLIMITED if template is None else template), Source.TEMPLATE


def applicable(layers: Layers) -> list[tuple[Source, LimitRule]]:
    """Return the rules that win for at least one domain: own ones first, each side by id.

    Every pattern is tried on the domain it names and on a subdomain that no pattern can name. That is enough: a rule that
    beats a wildcard there beats it on all its subdomains.
    """
    winners: dict[tuple[Source, int], LimitRule] = {}
    for source, table in zip(LAYERS, layers, strict=True):
        for pattern, rule in table.rule_of.items():
            name = pattern.removeprefix(ITSELF_AND_SUBDOMAINS).removeprefix(SUBDOMAINS)
            for domain in (name, f"?.{name}"):
                found = _of_layers(layers, domain, tuple(patterns_matching(domain)))
                if found.rule is rule and found.source == source:
                    winners[source, rule.id] = rule
    return [(source, winners[source, pk]) for source, pk in sorted(winners)]
