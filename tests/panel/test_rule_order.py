"""In which order pool rules are tried: shown on their pages, changed step by step, by whoever may change them."""

import pytest
from django.urls import reverse

from core.models import AuditEntry
from panel.pages import rule_order
from servers.models import IPPoolRule
from servers.pool_rules import create_rule
from tests.panel.conftest import SYSTEM, sign_in
from tests.servers.pool_choice import rules_of


@pytest.fixture
def rules(acme, globex):
    """Four rules of acme's server (the first is the cast's own); two of its organization are there too."""
    more = [
        create_rule(owner=acme.server, pool=acme.pool, to_conditions=[f"r{number}.example"], actor=SYSTEM)
        for number in (2, 3, 4)
    ]
    for number in (5, 6):
        create_rule(owner=acme.organization, pool=acme.pool, from_conditions=[f"r{number}.example"], actor=SYSTEM)
    return [acme.rule, *more]


def url(rule, page="change"):
    return reverse(f"admin:servers_ippoolrule_{page}", args=[rule.pk])


def tried(tenant):
    return list(rules_of(tenant.server).filter(server=tenant.server).values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("which", "step", "order"),
    [
        (2, "up", [0, 2, 1, 3]),
        (0, "up", [0, 1, 2, 3]),
        (0, "down", [1, 0, 2, 3]),
        (3, "down", [0, 1, 2, 3]),
        (3, "first", [3, 0, 1, 2]),
        (0, "last", [1, 2, 3, 0]),
        (1, "sideways", [0, 1, 2, 3]),
    ],
)
def test_a_rule_is_moved(which, step, order, rules, acme, platform):
    client = sign_in(acme.operator)
    response = client.post(url(rules[which], "move"), {"step": step, "back": rules[0].pk})
    assert (response.status_code, response.headers["Location"]) == (302, f"{url(rules[0])}#order")
    assert tried(acme) == [rules[place].pk for place in order]
    acts = AuditEntry.objects.filter(act="ip_pool_rule.ordered", actor_label="Acme-operator").count()
    assert acts == (order != [0, 1, 2, 3])


@pytest.mark.storage
def test_the_page_shows_where_the_rule_stands(rules, acme, platform):
    context = sign_in(acme.operator).get(url(rules[1])).context
    assert [(each["place"], each["is_here"], each["mail_to"]) for each in context["rows"]] == [
        (1, False, "acme-rule.example"),
        (2, True, "r2.example"),
        (3, False, "r3.example"),
        (4, False, "r4.example"),
    ]
    assert (context["may_move"], context["rule_total"]) == (True, 4)
    listed = sign_in(acme.operator).get(reverse("admin:servers_ippoolrule_changelist")).context["cl"].result_list
    assert [(rule.server_id is None, rule.place) for rule in listed] == [
        (False, 1), (False, 2), (False, 3), (False, 4), (True, 1), (True, 2),
    ]  # fmt: skip


def test_of_very_many_those_around_are_shown(rules, acme, platform, monkeypatch):
    monkeypatch.setattr(rule_order, "AROUND", 1)
    context = sign_in(acme.operator).get(url(rules[3])).context
    assert [each["place"] for each in context["rows"]] == [3, 4]
    assert (context["hidden_before"], context["hidden_after"]) == (2, 0)


def test_only_who_may_change_the_rules_orders_them(rules, acme, globex, platform):
    for person, status in ((acme.analyst, 403), (globex.owner, 404)):
        assert sign_in(person).post(url(rules[1], "move"), {"step": "up"}).status_code == status
    assert not sign_in(acme.analyst).get(url(rules[1])).context["may_move"]
    assert tried(acme) == [rule.pk for rule in rules]


def test_going_back_leads_to_no_page_of_others(rules, acme, globex, platform):
    for back in (globex.rule.pk, "x", "9" * 40, "//elsewhere.example"):
        response = sign_in(acme.owner).post(url(rules[1], "move"), {"step": "up", "back": back})
        assert response.headers["Location"] == f"{url(rules[1])}#order"


def test_looking_moves_nothing(rules, acme, platform):
    assert sign_in(acme.owner).get(url(rules[1], "move"), {"step": "up"}).status_code == 302
    assert tried(acme) == [rule.pk for rule in rules]


def test_a_rule_that_goes_meanwhile_is_no_crash(rules, acme, platform, monkeypatch):
    real = rule_order._ids

    def ids_then_somebody_deletes(rule):
        found = real(rule)
        IPPoolRule.objects.filter(pk=rules[3].pk).delete()
        return found

    monkeypatch.setattr(rule_order, "_ids", ids_then_somebody_deletes)
    response = sign_in(acme.owner).post(url(rules[1], "move"), {"step": "up"}, follow=False)
    assert response.status_code == 302
    monkeypatch.undo()
    assert tried(acme) == [rule.pk for rule in rules[:3]]


def test_the_history_of_the_owner_names_the_rules(rules, acme, platform):
    sign_in(acme.owner).post(url(rules[1], "move"), {"step": "up"})
    newest = (
        sign_in(acme.owner).get(reverse("admin:servers_server_history", args=[acme.server.pk])).context["versions"][0]
    )
    [difference] = newest.differences
    assert difference.after.startswith("from anybody to r2.example, from anybody to acme-rule.example")
