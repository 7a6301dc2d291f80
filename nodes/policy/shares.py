"""The weights of a node's addresses in a pool.

A pool's members take part with their priority as weight. A member that redirects is replaced by where it redirects to; a
routing rule divides its share among its targets. What does not lead to an address on this node has no part.

At the moment of sending, entries with a paused address, or with one that rests, leave the draw. Of those that remain, those
with a weight above 0 are drawn from by weight; only where there are none, those of weight 0, each alike. None left: the mail
waits.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from nodes.policy.model import Policy, Route, Target
from throttling.domains import patterns_matching


@dataclass(frozen=True, slots=True)
class Entry:
    """A source of a pool, with its share."""

    source: int
    weight: int
    # Addresses that redirect here: the entry has no part while one of them, or the source itself, is paused.
    unless: tuple[int, ...] = ()
    # It has no part just now: a warm-up allows no more, or it is drained (`Rest`).
    rests: bool = False


def entries(policy: Policy, pool: int, domain: str) -> tuple[Entry, ...]:
    """Return the entries of a pool for mail to a (normalized) domain, by source; empty: nothing can leave from here."""
    found: dict[tuple[int, tuple[int, ...]], Fraction] = {}
    for member in policy.pool_of[pool].members:
        mta = policy.virtual_mta_of[member]
        weight = Fraction(mta.priority if mta.kind == "ip_address" else 1)
        for source, share, unless in _leading_from(policy, member, domain, ()):
            found[source, unless] = found.get((source, unless), Fraction(0)) + weight * share
    return _in_integers(found)


def draw(found: Collection[Entry], paused: Collection[int]) -> dict[int, Fraction]:
    """Return the probability of each source at an attempt; empty: the mail waits."""
    left = taking_part(found, paused)
    weighted = [(entry.source, entry.weight) for entry in left if entry.weight]
    if not weighted:
        weighted = [(entry.source, 1) for entry in left]
    total = sum(weight for _, weight in weighted)
    drawn: dict[int, Fraction] = {}
    for source, weight in weighted:
        drawn[source] = drawn.get(source, Fraction(0)) + Fraction(weight, total)
    return drawn


def taking_part(found: Collection[Entry], paused: Collection[int]) -> list[Entry]:
    """Return the entries that can be drawn: none that is paused, none that rests."""
    return [
        entry
        for entry in found
        if not entry.rests and entry.source not in paused and not set(entry.unless) & set(paused)
    ]


def override_patterns(policy: Policy, pool: int) -> set[str]:
    """Return the patterns of all routing rules that the pool's mail may come to."""
    patterns: set[str] = set()
    seen: set[int] = set()
    waiting = list(policy.pool_of[pool].members)
    while waiting:
        number = waiting.pop()
        mta = policy.virtual_mta_of.get(number)
        if mta is None or number in seen:
            continue
        seen.add(number)
        if mta.redirect is not None:
            waiting.append(mta.redirect)
        if route := policy.route_of.get(number):
            waiting += [target.virtual_mta for target in route.targets]
            for override in route.overrides:
                patterns.update(override.patterns)
                waiting += [target.virtual_mta for target in override.targets]
    return patterns


def _leading_from(
    policy: Policy, number: int, domain: str, passed: tuple[int, ...]
) -> Iterator[tuple[int, Fraction, tuple[int, ...]]]:
    """Yield the sources to which a VirtualMTA leads: each with its share, and the addresses that redirected."""
    mta = policy.virtual_mta_of.get(number)
    if mta is None or number in passed:
        return
    if route := policy.route_of.get(number):
        targets = _targets(route, domain)
        total = sum(target.portion for target in targets)
        for target in targets:
            for source, share, unless in _leading_from(policy, target.virtual_mta, domain, (*passed, number)):
                yield source, share * Fraction(target.portion, total), unless
    elif mta.redirect is not None:
        yield from _leading_from(policy, mta.redirect, domain, (*passed, number))
    elif number in policy.source_of:
        addresses = tuple(sorted(each for each in passed if policy.virtual_mta_of[each].kind == "ip_address"))
        yield number, Fraction(1), addresses


def _targets(route: Route, domain: str) -> tuple[Target, ...]:
    if route.overrides:
        targets_of = {pattern: override.targets for override in route.overrides for pattern in override.patterns}
        for pattern in patterns_matching(domain):
            if pattern in targets_of:
                return targets_of[pattern]
    return route.targets


def _in_integers(found: dict[tuple[int, tuple[int, ...]], Fraction]) -> tuple[Entry, ...]:
    scale = lcm(*(share.denominator for share in found.values())) if found else 1
    divisor = gcd(*((share * scale).numerator for share in found.values())) or 1
    return tuple(
        Entry(source, (share * scale).numerator // divisor, unless) for (source, unless), share in sorted(found.items())
    )
