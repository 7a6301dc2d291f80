"""Which rule wins, against an evaluator that is slow, independent and written straight from the sentence.

"First match wins, whole: the address's own rules, then the template's rules, then the default. Within one set, for
`foo.example.com`: `foo.example.com`, `[*.]foo.example.com`, `*.example.com`, `[*.]example.com`, `*.com`, `[*.]com`."
"""

import datetime
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from throttling.limits import (
    UNLIMITED,
    Cap,
    CapKind,
    Considered,
    EffectiveLimits,
    LimitRule,
    LimitTable,
    Source,
    applicable,
    effective,
    trace,
)


def table(*rules, connections=None, messages=None):
    """Return a rule set; each rule is (id, domains, connections, messages)."""
    return LimitTable.of(
        [LimitRule(pk, tuple(domains), mcc, mmph) for pk, domains, mcc, mmph in rules],
        max_concurrent_connections=connections,
        max_messages_per_hour=messages,
    )


# --- The slow evaluator: it knows no index and no order of look-ups, only what a pattern means and which is nearer ------


def matches(pattern, domain):
    if pattern.startswith("[*.]"):
        return domain == pattern[4:] or domain.endswith("." + pattern[4:])
    if pattern.startswith("*."):
        return domain.endswith("." + pattern[2:])
    return domain == pattern


def nearness(pattern):
    """Sort patterns that match one domain: more labels first, then plain, `*.`, `[*.]`."""
    kind = 2 if pattern.startswith("[*.]") else 1 if pattern.startswith("*.") else 0
    return -len(pattern.removeprefix("[*.]").removeprefix("*.").split(".")), kind


def slowly(own_rules, own_default, template_rules, template_default, domain):
    for source, rules in (("address", own_rules), ("template", template_rules)):
        found = [(pattern, rule) for rule in rules for pattern in rule.domains if matches(pattern, domain)]
        if found:
            pattern, rule = min(found, key=lambda pair: nearness(pair[0]))
            return rule.max_concurrent_connections, rule.max_messages_per_hour, source, pattern, rule.id
    return (
        template_default[0] if own_default[0] is None else own_default[0],
        template_default[1] if own_default[1] is None else own_default[1],
        None,
        None,
        None,
    )


# Few labels, so that names meet often.
names = st.lists(st.sampled_from(["a", "b", "web", "com"]), min_size=1, max_size=4).map(".".join)
patterns = st.builds("{}{}".format, st.sampled_from(["", "*.", "[*.]"]), names)
limits = st.integers(min_value=0, max_value=3)


@st.composite
def rule_sets(draw):
    unique = draw(st.lists(patterns, unique=True, max_size=30))
    rules = []
    while unique:
        size = draw(st.integers(1, 4))
        rules.append(LimitRule(len(rules) + 1, tuple(unique[:size]), draw(limits), draw(limits)))
        unique = unique[size:]
    return rules


@given(
    rule_sets(),
    st.tuples(st.none() | limits, st.none() | limits),
    rule_sets(),
    st.tuples(limits, limits),
    names,
)
@example([], (None, None), [], (0, 0), "com")
def test_the_winner_is_what_the_sentence_says(own_rules, own_default, template_rules, template_default, domain):
    own = LimitTable.of(own_rules, max_concurrent_connections=own_default[0], max_messages_per_hour=own_default[1])
    template = LimitTable.of(
        template_rules, max_concurrent_connections=template_default[0], max_messages_per_hour=template_default[1]
    )
    found = effective((own, template), (), domain)
    assert (
        found.max_concurrent_connections,
        found.max_messages_per_hour,
        found.source,
        found.pattern,
        found.rule.id if found.rule else None,
    ) == slowly(own_rules, own_default, template_rules, template_default, domain)

    steps = trace((own, template), domain)
    assert all(matches(step.pattern, domain) for step in steps)
    assert all(step.rule is None for step in steps[:-1])
    assert (steps[-1].source if steps[-1].rule else None, steps[-1].rule) == (found.source, found.rule)
    if found.rule is None:
        assert len(steps) == 2 * 2 * len(domain.split("."))


# --- Single facts, each readable on its own ----------------------------------------------------------------------------


def test_seventy_messages_an_hour_to_second_web_example_com():
    own = table((11, ["[*.]web.example.com"], 2, 70))
    template = table((5, ["second.web.example.com"], 9, 9), connections=1, messages=1)
    rule = own.rule_of["[*.]web.example.com"]
    assert effective((own, template), (), "second.web.example.com") == EffectiveLimits(
        domain="second.web.example.com",
        max_concurrent_connections=2,
        max_messages_per_hour=70,
        connections_from=Source.ADDRESS,
        messages_from=Source.ADDRESS,
        source=Source.ADDRESS,
        pattern="[*.]web.example.com",
        rule=rule,
    )
    assert trace((own, template), "second.web.example.com") == [
        Considered(Source.ADDRESS, "second.web.example.com", None),
        Considered(Source.ADDRESS, "[*.]second.web.example.com", None),
        Considered(Source.ADDRESS, "*.web.example.com", None),
        Considered(Source.ADDRESS, "[*.]web.example.com", rule),
    ]


def test_the_page_s_patterns_match_as_the_page_says():
    both = table((1, ["[*.]web.example.com"], 1, 1))
    below = table((1, ["*.web.example.com"], 1, 1))
    nothing = table(connections=0, messages=0)
    cases = {
        "web.example.com": (True, False),
        "second.web.example.com": (True, True),
        "third.second.web.example.com": (True, True),
        "example.com": (False, False),
        "otherweb.example.com": (False, False),
    }
    for domain, expected in cases.items():
        found = tuple(effective((own, nothing), (), domain).rule is not None for own in (both, below))
        assert found == expected, domain


def test_a_rule_wins_whole_even_with_unlimited_numbers():
    own = table((1, ["example.com"], 0, 0), connections=3, messages=3)
    template = table((2, ["example.com"], 7, 7), connections=5, messages=5)
    found = effective((own, template), (), "example.com")
    assert (found.domain, found.max_concurrent_connections, found.max_messages_per_hour) == ("example.com", 0, 0)


def test_a_null_default_falls_to_the_template_field_by_field_and_zero_does_not():
    template = table(connections=5, messages=6)
    found = effective((table(connections=None, messages=0), template), (), "example.com")
    assert (found.max_concurrent_connections, found.connections_from) == (5, Source.TEMPLATE)
    assert (found.max_messages_per_hour, found.messages_from) == (0, Source.ADDRESS)


@given(rule_sets(), rule_sets(), st.lists(names, min_size=1, max_size=20))
def test_a_rule_that_wins_somewhere_is_applicable(own_rules, template_rules, domains):
    own = LimitTable.of(own_rules, max_concurrent_connections=None, max_messages_per_hour=None)
    template = LimitTable.of(template_rules, max_concurrent_connections=0, max_messages_per_hour=0)
    found = applicable((own, template))
    # Domains among the names of rules, and below them at a depth that no pattern reaches.
    for domain in domains + [f"z.y.{name}" for name in domains]:
        limits = effective((own, template), (), domain)
        if limits.rule is not None:
            assert (limits.source, limits.rule) in found
    assert found == sorted(found, key=lambda pair: (pair[0], pair[1].id))


def test_a_template_s_rule_that_own_rules_hide_is_not_applicable():
    own = table((1, ["[*.]example.com"], 1, 1))
    template = table((2, ["mail.example.com", "*.example.com"], 2, 2), (3, ["example.com", "other.com"], 3, 3))
    assert applicable((own, template)) == [
        (Source.ADDRESS, own.rule_of["[*.]example.com"]),
        (Source.TEMPLATE, template.rule_of["other.com"]),
    ]


def test_without_any_default_nothing_is_limited():
    """A CHECK holds that a template has both; should it not, 0 says unlimited to GreenArrow's clients."""
    nothing = LimitTable.of([], max_concurrent_connections=None, max_messages_per_hour=None)
    found = effective((nothing, nothing), (), "example.com")
    assert (found.domain, found.max_concurrent_connections, found.max_messages_per_hour) == ("example.com", 0, 0)
    assert (found.connections_from, found.messages_from) == (Source.TEMPLATE, Source.TEMPLATE)
    assert UNLIMITED == 0


def test_rules_and_tables_do_not_change_after_they_were_made():
    table = LimitTable.of([], max_concurrent_connections=1, max_messages_per_hour=1)
    with pytest.raises(AttributeError):
        table.max_messages_per_hour = 2
    with pytest.raises(AttributeError):
        LimitRule(1, ("a.example",), 1, 1).max_messages_per_hour = 2


def test_a_rule_that_others_of_its_set_beat_everywhere_does_not_apply():
    everything, itself, below = (
        LimitRule(1, ("[*.]example.com",), 1, 1),
        LimitRule(2, ("example.com",), 2, 2),
        LimitRule(3, ("*.example.com",), 3, 3),
    )
    own = LimitTable.of([everything, itself, below], max_concurrent_connections=None, max_messages_per_hour=None)
    template = LimitTable.of([], max_concurrent_connections=0, max_messages_per_hour=0)
    assert applicable((own, template)) == [(Source.ADDRESS, itself), (Source.ADDRESS, below)]


# --- Caps ----------------------------------------------------------------------------------------------------------------

NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
caps = st.builds(
    Cap,
    kind=st.sampled_from(CapKind),
    max_messages_per_hour=st.one_of(st.none(), limits),
    max_concurrent_connections=st.one_of(st.none(), limits),
    until=st.sampled_from([None, NOON - datetime.timedelta(seconds=1), NOON, NOON + datetime.timedelta(seconds=1)]),
    rule_id=st.one_of(st.none(), st.integers(0, 3)),
    domains=st.one_of(st.none(), st.frozensets(patterns, max_size=3)),
    percent_of_messages=st.one_of(st.none(), st.integers(1, 100)),
    percent_of_connections=st.one_of(st.none(), st.integers(1, 100)),
)


def slowly_resolved(cap, messages, connections):
    """Return a cap with the numbers of its percentages: rounded down, at least 1, none of unlimited."""
    for name, percent, number in (
        ("max_messages_per_hour", cap.percent_of_messages, messages),
        ("max_concurrent_connections", cap.percent_of_connections, connections),
    ):
        if percent is not None:
            cap = replace(cap, **{name: max(1, int(Fraction(number * percent, 100))) if number else None})
    return cap


def slowly_capped(number, rule_id, domain, found, of):
    """Return a number and its cap: the least of it and of all caps that apply, where 0 and None bound nothing."""
    bounds = [(float("inf") if number == 0 else number, None)]
    for cap in found:
        is_over = cap.until is not None and cap.until <= NOON
        is_elsewhere = cap.rule_id is not None and cap.rule_id != rule_id
        is_of_others = cap.domains is not None and not any(matches(pattern, domain) for pattern in cap.domains)
        if of(cap) and not (is_over or is_elsewhere or is_of_others):
            bounds.append((of(cap), cap))
    least, cap = min(bounds, key=lambda bound: bound[0])
    return (0 if least == float("inf") else least), cap


@given(own_rules=rule_sets(), template_rules=rule_sets(), domain=names, found=st.lists(caps, max_size=5))
def test_caps_take_the_least_after_the_rules_have_decided(own_rules, template_rules, domain, found):
    own = LimitTable.of(own_rules, max_concurrent_connections=None, max_messages_per_hour=2)
    template = LimitTable.of(template_rules, max_concurrent_connections=3, max_messages_per_hour=0)
    bare = effective((own, template), (), domain)
    rule_id = 0 if bare.rule is None else bare.rule.id
    percentages, found = (
        found,
        [slowly_resolved(cap, bare.max_messages_per_hour, bare.max_concurrent_connections) for cap in found],
    )
    connections, by = slowly_capped(
        bare.max_concurrent_connections, rule_id, domain, found, lambda cap: cap.max_concurrent_connections
    )
    messages, also_by = slowly_capped(
        bare.max_messages_per_hour, rule_id, domain, found, lambda cap: cap.max_messages_per_hour
    )
    assert effective((own, template), percentages, domain, NOON) == bare._replace(
        max_concurrent_connections=connections,
        max_messages_per_hour=messages,
        connections_from=by.kind if by else bare.connections_from,
        messages_from=also_by.kind if also_by else bare.messages_from,
        caps=tuple(dict.fromkeys(cap for cap in (by, also_by) if cap)),
    )


def test_caps_need_a_time():
    with pytest.raises(ValueError, match="Caps apply at a time"):
        effective((table(), table()), [Cap(CapKind.MANUAL, max_messages_per_hour=1)], "example.com")
