"""Flattens decisions by recipient domain: evaluates every pattern that can win, for the compilers.

A flat table answers by the domain itself (`exact`), else by its nearest parent (`below`), else by its default. That is exact:
all domains that have a name as their nearest parent in the table, and are not in it themselves, match the same patterns in the
same order, so one unnamed subdomain stands for all of them.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from nodes.policy.model import Overlay, Policy, Source
from nodes.policy.shares import Entry, entries, override_patterns, taking_part
from throttling.domains import ITSELF_AND_SUBDOMAINS, SUBDOMAINS
from throttling.limits import Cap, effective

# Caps without an end apply at any time.
_ANY_TIME = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# A label that no pattern can name.
_UNNAMED = "?"


@dataclass(frozen=True, slots=True)
class Flat[Value]:
    """A value for every domain; names are sorted."""

    exact: Mapping[str, Value]
    below: Mapping[str, Value]
    default: Value

    def of(self, domain: str) -> Value:
        """Return the value for a (normalized) domain."""
        if domain in self.exact:
            return self.exact[domain]
        parent = domain
        while "." in parent:
            parent = parent.split(".", 1)[1]
            if parent in self.below:
                return self.below[parent]
        return self.default

    def values(self) -> list[Value]:
        """Return all values of the table."""
        return [self.default, *self.exact.values(), *self.below.values()]


@dataclass(frozen=True, slots=True)
class Limit:
    """What an address may do towards a domain; 0 is unlimited. `rule` 0 is the default, which has one counter per domain.

    All domains of one rule share the address's counter of that rule.
    """

    rule: int
    connections: int
    per_hour: int
    program: int | None = None


def names_in(patterns: Iterable[str]) -> set[str]:
    """Return the domain names that patterns are over, without their prefixes."""
    return {each.removeprefix(ITSELF_AND_SUBDOMAINS).removeprefix(SUBDOMAINS) for each in patterns}


def flatten[Value](names: Iterable[str], value_of: Callable[[str], Value]) -> Flat[Value]:
    """Tabulate a function of domains that changes only at these names; entries equal to their parent's are omitted."""
    default = value_of(_UNNAMED)
    exact: dict[str, Value] = {}
    below: dict[str, Value] = {}
    table = Flat(exact, below, default)
    # Parents first: what a name inherits is known when its turn comes.
    for name in sorted(names, key=lambda each: (each.count("."), each)):
        inherited = table.of(f"{_UNNAMED}.{name}")
        under = value_of(f"{_UNNAMED}.{name}")
        itself = value_of(name)
        if itself != table.of(name):
            exact[name] = itself
        if under != inherited:
            below[name] = under
    return Flat(dict(sorted(exact.items())), dict(sorted(below.items())), default)


def limit_tables(policy: Policy, caps: Mapping[int, tuple[Cap, ...]] | None = None) -> dict[int, Flat[Limit]]:
    """Return the limits of each source by domain, under the caps of an overlay. Sources with the same rules share one table."""
    tables: dict[object, Flat[Limit]] = {}
    found = {}
    for source in policy.sources:
        # The overlay has them while they apply: their end is not this function's to know.
        capped = tuple(replace(cap, until=None) for cap in (caps or {}).get(source.id, ()))
        key = _rules_of(policy, source), capped
        if key not in tables:
            tables[key] = _limits(policy, source, capped)
        found[source.id] = tables[key]
    return found


def pool_table(policy: Policy, pool: int, overlay: Overlay | None = None) -> Flat[tuple[Entry, ...]]:
    """Return by which sources a pool sends, by domain, and which of them rest.

    Domains matter only to overrides of routing rules, and to sources that rest for some.
    """
    overlay = overlay or Overlay()

    def value_of(domain: str) -> tuple[Entry, ...]:
        found = entries(policy, pool, domain)
        resting = overlay.resting_at(domain)
        return tuple(replace(each, rests=True) if each.source in resting else each for each in found)

    patterns = override_patterns(policy, pool).union(*(each.domains for each in overlay.resting))
    return flatten(names_in(patterns), value_of)


def awake_table(policy: Policy, pool: int, overlay: Overlay, *, never_empty: bool = False) -> Flat[tuple[Entry, ...]]:
    """Return the same without those that rest, for targets that do not know rest.

    `never_empty` is for those that cannot let mail wait: there they stay where no other entry can be drawn.
    """
    table = pool_table(policy, pool, overlay)

    def awake(found: tuple[Entry, ...]) -> tuple[Entry, ...]:
        stays = never_empty and not taking_part(found, overlay.paused)
        return tuple(replace(each, rests=False) for each in found if stays or not each.rests)

    return Flat(
        {name: awake(value) for name, value in table.exact.items()},
        {name: awake(value) for name, value in table.below.items()},
        awake(table.default),
    )


def joint_table(
    policy: Policy, pool: int, limits: Mapping[int, Flat[Limit]], overlay: Overlay | None = None
) -> Flat[tuple[tuple[Entry, Limit], ...]]:
    """Return by which sources a pool sends and with which limits, by domain; `limits` are from `limit_tables`."""
    draws = pool_table(policy, pool, overlay)
    tables = {id(table): table for each in draws.values() for entry in each for table in [limits[entry.source]]}
    names = {*draws.exact, *draws.below}.union(*({*table.exact, *table.below} for table in tables.values()))
    return flatten(names, lambda domain: tuple((entry, limits[entry.source].of(domain)) for entry in draws.of(domain)))


def _rules_of(policy: Policy, source: Source) -> object:
    own = policy.limit_table_of[source.own]
    if own.rule_of:
        return source.own, source.template
    # Thousands of addresses have no rules of their own.
    return None, source.template, own.max_concurrent_connections, own.max_messages_per_hour


def _limits(policy: Policy, source: Source, caps: tuple[Cap, ...]) -> Flat[Limit]:
    own, template = policy.limit_table_of[source.own], policy.limit_table_of[source.template]

    def limit_of(domain: str) -> Limit:
        found = effective((own, template), caps, domain, _ANY_TIME)
        rule = found.rule
        return Limit(
            0 if rule is None else rule.id,
            found.max_concurrent_connections,
            found.max_messages_per_hour,
            None if rule is None else rule.throttle_program_id,
        )

    capped = {pattern for cap in caps for pattern in cap.domains or ()}
    return flatten(names_in([*own.rule_of, *template.rule_of, *capped]), limit_of)
