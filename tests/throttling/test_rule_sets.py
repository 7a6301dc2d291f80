"""Rules edited as a whole, as the panel does it: what is named by id changes, what is new comes, the rest goes."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from core.errors import Invalid
from core.models import AuditEntry
from core.references import Reference
from tests.words import templates
from throttling import rule_sets
from throttling import rules as throttling_rules
from throttling.drafts import Draft
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


def add(template, first, second, third):
    program = Reference(ThrottleProgram.objects.get().pk)
    limits = {"max_concurrent_connections": 1, "max_messages_per_hour": 2}
    throttling_rules.create(template, domains=["e.com", "f.com"], throttle_program=program, **limits, actor=SYSTEM)


def change_domains(template, first, second, third):
    throttling_rules.change(template, second["id"], domains=["z.com", "c.com"], actor=SYSTEM)


def give_a_program(template, first, second, third):
    program = Reference(ThrottleProgram.objects.get().pk)
    throttling_rules.change(template, second["id"], throttle_program=program, actor=SYSTEM)


def take_the_program(template, first, second, third):
    throttling_rules.change(template, first["id"], throttle_program=None, actor=SYSTEM)


def delete(template, first, second, third):
    throttling_rules.delete(template, third["id"], actor=SYSTEM)


def add_to_all(template, first, second, third):
    templates.update(template.pk, {"rules_new": [rule("e.com"), rule("f.com")]}, actor=SYSTEM)


def replace_all(template, first, second, third):
    program = {"id": ThrottleProgram.objects.get().pk}
    changed = {**third, "domains": ["a.com", "d.com"], "throttle_program": program}
    new = rule("g.com", throttle_program=program)
    templates.update(template.pk, {"rules": [changed, new, {**second, "throttle_program": None}]}, actor=SYSTEM)


@pytest.mark.parametrize(
    ("act", "reads"),
    [
        (add, 1),
        (change_domains, 1),
        (give_a_program, 1),
        (take_the_program, 1),
        (delete, 1),
        (add_to_all, 1),
        # Django looks at those that go.
        (replace_all, 2),
    ],
)
def test_rules_are_read_once_and_the_trail_tells_what_is_there(template, act, reads):
    """Nothing that was just written is read again."""
    rules = shown(template)
    with CaptureQueriesContext(connection) as captured:
        act(template, *rules)
    (entry,) = AuditEntry.objects.order_by("-pk")[:1]
    assert entry.after["rules"] == shown(type(template).objects.get(pk=template.pk))
    assert entry.after["rules"] != rules
    read = [query["sql"].partition(" FROM ")[2].split()[0] for query in captured if query["sql"].startswith("SELECT")]
    assert read.count('"throttling_rule"') == reads


def test_a_program_that_is_deleted_meanwhile_is_refused_as_an_unknown_one(template):
    draft = Draft(
        "", None, [], {"max_concurrent_connections": 1, "max_messages_per_hour": 2, "throttle_program_id": 999}, {}
    )
    refusal = pytest.raises(Invalid, match="throttle_program refers to a throttle program that does not exist")
    with refusal, transaction.atomic():
        rule_sets.add_rules(template.rules, [draft])
