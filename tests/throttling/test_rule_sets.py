"""Rules edited as a whole, as the panel does it: what is named by id changes, what is new comes, the rest goes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from core.errors import Invalid
from tests.words import templates
from throttling import rule_sets
from throttling.models import Rule, ThrottleProgram

SYSTEM = Actor.system()


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


@pytest.fixture
def template(db):
    values = {
        "name": "T",
        "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
        "rules": [rule("a.com", "b.com", throttle_program={"name": "Automatic Backoff"}), rule("c.com"), rule("d.com")],
    }
    return templates.create(values, actor=SYSTEM)


def shown(template):
    return rule_sets.document(template.rules)["rules"]


def replace(template, *rules):
    templates.update(template.pk, {"rules": list(rules)}, actor=SYSTEM, replaces_rules=True)
    return shown(template)


def faults(template, *rules):
    before = shown(template)
    with pytest.raises(Invalid) as refusal:
        replace(template, *rules)
    assert shown(template) == before
    return [str(fault) for fault in refusal.value.faults]


def test_the_whole_list_is_replaced(template):
    first, second, third = shown(template)
    after = replace(
        template,
        {**first, "domains": ["b.com", "c.com"], "max_messages_per_hour": 9},  # takes c.com from the second
        {**third, "throttle_program": first["throttle_program"]},
        rule("a.com"),  # which the first gave up
    )
    assert after[:2] == [
        {**first, "domains": ["b.com", "c.com"], "max_messages_per_hour": 9},
        {**third, "throttle_program": first["throttle_program"]},
    ]
    assert after[2]["domains"] == ["a.com"]
    assert second["id"] not in {each["id"] for each in after}


def test_the_document_of_the_trail_is_input_again(template):
    before = shown(template)
    replace(template, rule("other.com"))
    # A rule that is gone has no id to go back to.
    restored = replace(template, *({k: v for k, v in each.items() if k != "id"} for each in before))
    assert [(each["domains"], each["throttle_program"]) for each in restored] == [
        (each["domains"], each["throttle_program"]) for each in before
    ]


def test_an_empty_list_takes_all_away(template):
    assert replace(template) == []


def test_without_rules_they_stay(template):
    before = shown(template)
    templates.update(template.pk, {"name": "U"}, actor=SYSTEM, replaces_rules=True)
    assert shown(template) == before


def test_faults_name_the_entry(template):
    first = shown(template)[0]
    other = templates.create(
        {
            "name": "Other",
            "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
            "rules": [rule("z.com")],
        },
        actor=SYSTEM,
    )
    assert faults(
        template,
        first,
        {**first, "domains": ["B.com"]},
        {**rule("x.com"), "id": shown(other)[0]["id"]},
        {**rule("y.com"), "id": "no id"},
        {"id": first["id"]},
    ) == [
        "rules[2].id is not a rule of this set",
        "rules[3].id is not a rule of this set",
        "rules[4].domains is required",
        "rules[4].max_concurrent_connections is required",
        "rules[4].max_messages_per_hour is required",
        "rules must not name a rule twice",
        'rules[1].domains[0] "B.com" has already been taken',
    ]


def test_250_rules_are_the_most(template):
    named = shown(template)
    full = [*named, *(rule(f"d{n}.example") for n in range(247))]
    assert len(replace(template, *full)) == 250
    # All places are taken: some go, as many come.
    again = shown(template)
    assert len(replace(template, *again[50:], *(rule(f"e{n}.example") for n in range(50)))) == 250
    assert faults(template, *shown(template), rule("one-more.example")) == ["rules must not make more than 250 rules"]


def test_250_rules_are_saved_by_few_statements(template):
    program = ThrottleProgram.objects.get()

    def statements(count):
        rules = [rule(f"d{n}.example", throttle_program={"id": program.pk}) for n in range(count)]
        replace(template, *rules)
        named = [{**each, "max_messages_per_hour": 7} for each in shown(template)]
        with CaptureQueriesContext(connection) as queries:
            templates.update(template.pk, {"rules": named}, actor=SYSTEM, replaces_rules=True)
        assert set(Rule.objects.filter(rule_set=template.rules).values_list("max_messages_per_hour", flat=True)) == {7}
        return len(queries)

    # Rows are updated a hundred at a time; engines differ in how many they take in one insert.
    assert statements(250) <= statements(10) + 4
