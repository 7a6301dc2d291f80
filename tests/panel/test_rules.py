"""Throttling rules on the pages of addresses and templates, and which limit applies."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from panel.forms.rows import CHANGED_MEANWHILE, INCOMPLETE
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ThrottleCount
from tests.panel.conftest import SYSTEM, sign_in
from tests.words import ip_addresses, templates
from throttling import rule_sets
from throttling.models import RuleSet


def rule(number, **changes):
    return {
        "domains": [f"d{number}.example", f"*.d{number}.example"],
        "max_concurrent_connections": number,
        "max_messages_per_hour": 10 * number,
        "throttle_program": None,
        **changes,
    }


def address_form(address, rules, **changes):
    """Return what the browser posts for an address with these rules."""
    rows = {
        "rules-TOTAL_FORMS": len(rules),
        "rules-INITIAL_FORMS": 0,
        "rules-MIN_NUM_FORMS": 0,
        "rules-MAX_NUM_FORMS": 250,
    }
    for index, each in enumerate(rules):
        rows |= {f"rules-{index}-{name}": value for name, value in each.items()}
    return {
        "name": address.name,
        "ipv4": address.ipv4,
        "ipv6": "",
        "hostname": address.hostname,
        "priority": address.priority,
        "template": address.template_id,
        "redirect": "",
        **rows,
        **changes,
    }


def row(number, **changes):
    return {
        "domains": f"d{number}.example\n*.d{number}.example",
        "max_concurrent_connections": number,
        "max_messages_per_hour": 10 * number,
        "throttle_program": "",
        **changes,
    }


def change_url(address):
    return reverse("admin:ippools_ipaddress_change", args=[address.pk])


def save(client, address, posted):
    """Post the form and, after its preview, once more; return the last response."""
    form = client.post(change_url(address), posted).context["adminform"].form
    assert form.preview is not None
    return client.post(change_url(address), {**posted, "_confirmed": form.confirmation})


def documents(rules_id):
    found = rule_sets.document(RuleSet.objects.get(pk=rules_id))["rules"]
    return [{name: value for name, value in each.items() if name != "id"} for each in found]


def test_an_address_behind_nat_says_what_the_world_sees(acme, platform, root):
    address = platform.address
    posted = address_form(address, [], public_ipv4=" 198.51.100.7 ", public_ipv6="2001:DB8::7")
    assert root.post(change_url(address), posted).status_code == 302
    address.refresh_from_db()
    assert (address.public_ipv4, address.public_ipv6) == ("198.51.100.7", "2001:db8::7")
    form = root.post(change_url(address), address_form(address, [], public_ipv4="10.0.0.5")).context["adminform"].form
    assert form.errors == {"public_ipv4": ["Is not a public address: receivers cannot see it"]}


def test_250_rules_are_saved_and_shown_in_at_most_20_queries(platform, root):
    address = platform.address
    response = save(root, address, address_form(address, [row(n) for n in range(1, 251)]))
    assert response.status_code == 302
    assert documents(address.rules_id) == [rule(n) for n in range(1, 251)]
    with CaptureQueriesContext(connection) as queries:
        page = root.get(change_url(address))
    assert len(queries) <= 20, [each["sql"][:100] for each in queries]
    assert page.content.count(b"d250.example") == 2


def test_the_251st_rule_is_refused_and_nothing_changes(platform, root):
    address = platform.address
    audited = AuditEntry.objects.count()
    response = root.post(change_url(address), address_form(address, [row(n) for n in range(1, 252)], name="other"))
    assert response.status_code == 200
    address.refresh_from_db()
    assert (address.name, documents(address.rules_id), AuditEntry.objects.count()) == ("spare", [], audited)


def test_faults_stand_beside_the_rule_that_has_them(platform, root):
    address = platform.address
    rules = [row(1), row(2, domains="not a domain!"), row(3, domains="d1.example"), row(4, max_messages_per_hour="")]
    form = root.post(change_url(address), address_form(address, rules)).context["adminform"].form
    # What a form itself can see comes first; the act is asked when that is right.
    assert [dict(each.errors) for each in form.rules.forms] == [
        {},
        {},
        {},
        {"max_messages_per_hour": ["Is required; 0 means unlimited"]},
    ]
    rules[3] = row(4)
    form = root.post(change_url(address), address_form(address, rules)).context["adminform"].form
    faulty = [set(each.errors) for each in form.rules.forms]
    assert faulty == [set(), {"domains"}, {"domains"}, set()]
    assert "has already been taken" in form.rules.forms[2].errors["domains"][0]
    assert documents(address.rules_id) == []


def test_a_rule_is_changed_and_another_removed(platform, root):
    address = platform.address
    ip_addresses.update(address.pk, {"rules_new": [rule(1), rule(2)]}, actor=SYSTEM)
    ids = [each["id"] for each in rule_sets.document(RuleSet.objects.get(pk=address.rules_id))["rules"]]
    rules = [row(7, id=ids[0]), row(2, id=ids[1], DELETE="on")]
    response = save(root, address, address_form(address, rules, **{"rules-INITIAL_FORMS": 2}))
    assert response.status_code == 302
    assert rule_sets.document(RuleSet.objects.get(pk=address.rules_id))["rules"] == [{"id": ids[0], **rule(7)}]


def test_an_address_shows_what_a_lower_limit_would_have_delayed(acme, platform, root):
    address = acme.address
    ip_addresses.update(address.pk, {"rules_new": [rule(1, domains=["gmail.com"]), rule(2)]}, actor=SYSTEM)
    ids = [each["id"] for each in rule_sets.document(RuleSet.objects.get(pk=address.rules_id))["rules"]]
    hour = buckets.hour_of(timezone.now())
    for number, counts in ((ids[0], (12, 3, 1)), (ids[1], (100, 0, 0))):
        sent, deferred, bounced = counts
        ThrottleCount.objects.create(
            grain=Grain.HOUR, bucket=hour - 2, address_id=address.pk, rule_id=number,
            sent=sent, deferred=deferred, bounced=bounced,
        )  # fmt: skip
    rows = [row(1, id=ids[0], domains="gmail.com", max_messages_per_hour=8), row(2, id=ids[1])]
    posted = address_form(address, rows, **{"rules-INITIAL_FORMS": 2})
    preview = root.post(change_url(address), posted).context["adminform"].form.preview
    assert preview.lines == [("gmail.com", "1 connection, 10 messages per hour", "1 connection, 8 messages per hour")]
    assert preview.notes == [
        "1 server of 1 customer can send by these addresses.",
        (
            "In the last seven days, gmail.com: 8 an hour would have delayed 8 of 16 attempts in 1 hour, by 60 minutes at most;"
            " it leaves 50 % of the last day's busiest hour."
        ),
    ]
    assert documents(address.rules_id)[0]["max_messages_per_hour"] == 10
    moved = address_form(address, [{**rows[0], "domains": "gmail.com\nd2.example"}, {**rows[1], "DELETE": "on"}],
                         template=platform.template.pk, **{"rules-INITIAL_FORMS": 2})  # fmt: skip
    preview = root.post(change_url(address), moved).context["adminform"].form.preview
    assert preview.lines[0] == ("what no own rule is for", f"template {address.template.name}", "template Careful")
    assert preview.notes[-1] == (
        "For domains that come under another rule or the default, Revisions → Publish can replay the events still held."
    )


def test_which_limit_applies_tells_the_winner_and_the_way(platform, root):
    address = platform.address
    own = rule(1, domains=["[*.]example.com"], max_concurrent_connections=3, max_messages_per_hour=70)
    ip_addresses.update(address.pk, {"rules_new": [own]}, actor=SYSTEM)
    url = reverse("admin:ippools_ipaddress_limits", args=[address.pk])
    answer = root.get(url, {"domain": "someone@Second.web.Example.com"}).context["answer"]
    assert (answer.domain, answer.messages, answer.connections) == ("second.web.example.com", "70", "3")
    assert [step["pattern"] for step in answer.steps] == [
        "second.web.example.com",
        "[*.]second.web.example.com",
        "*.web.example.com",
        "[*.]web.example.com",
        "*.example.com",
        "[*.]example.com",
    ]
    assert [step["rule"] for step in answer.steps][-1] == "3 connections, 70 messages per hour"
    by_template = root.get(url, {"domain": "mail.example"}).context["answer"]
    assert (by_template.messages, by_template.limits.source) == ("50", "template")
    default = root.get(url, {"domain": "else.example"}).context["answer"]
    assert (default.messages, default.connections, default.limits.rule) == ("100", "10", None)
    assert root.get(url, {"domain": "no domain"}).context["problem"].startswith("“no domain” is not a domain name")


def template_form(template, rows, **changes):
    posted = {"rules-TOTAL_FORMS": len(rows), "rules-INITIAL_FORMS": len(documents(template.rules_id))}
    for index, each in enumerate(rows):
        posted |= {f"rules-{index}-{name}": value for name, value in each.items()}
    return {
        "name": template.name,
        "default_max_concurrent_connections": 10,
        "default_max_messages_per_hour": 100,
        **posted,
        **changes,
    }


def test_a_template_in_use_shows_what_changes_before_it_does(platform, root):
    template = platform.template
    url = reverse("admin:throttling_throttlingtemplate_change", args=[template.pk])
    posted = template_form(template, [row(5), row(6, domains="mail.example")])
    audited = AuditEntry.objects.count()
    form = root.post(url, posted).context["adminform"].form
    assert form.preview.summary == "1 address with this template: other limits for 3 domain patterns."
    assert form.preview.lines == [
        ("*.d5.example", "no rule", "5 connections, 50 messages per hour"),
        ("d5.example", "no rule", "5 connections, 50 messages per hour"),
        ("mail.example", "5 connections, 50 messages per hour", "6 connections, 60 messages per hour"),
    ]
    assert len(documents(template.rules_id)) == 1
    assert AuditEntry.objects.count() == audited
    # Looked at, but then something else is sent: that has not been looked at.
    other = template_form(template, [row(9)], _confirmed=form.confirmation)
    assert root.post(url, other).context["adminform"].form.preview is not None
    assert root.post(url, {**posted, "_confirmed": form.confirmation}).status_code == 302
    assert [each["domains"] for each in documents(template.rules_id)] == [
        ["d5.example", "*.d5.example"],
        ["mail.example"],
    ]


def test_a_template_that_nobody_uses_is_saved_at_once(platform, root):
    template = templates.create(
        {"name": "Free", "default": {"max_concurrent_connections": 10, "max_messages_per_hour": 100}}, actor=SYSTEM
    )
    url = reverse("admin:throttling_throttlingtemplate_change", args=[template.pk])
    assert root.post(url, template_form(template, [row(5)])).status_code == 302
    assert len(documents(template.rules_id)) == 1


def test_a_program_in_use_shows_what_changes(platform, root):
    program = platform.program
    ip_addresses.update(
        platform.address.pk, {"rules_new": [rule(1, throttle_program={"id": program.pk})]}, actor=SYSTEM
    )
    posted = {
        "name": program.name,
        "backoff_connections_mode": "percent",
        "backoff_connections_value": 10,
        "backoff_messages_mode": "percent",
        "backoff_messages_value": 30,
        "return_after_seconds": 60,
        "failure_rate": 20,
        "deferral_rate": "",
    }
    url = reverse("admin:throttling_throttleprogram_change", args=[program.pk])
    form = root.post(url, posted).context["adminform"].form
    assert form.preview.summary == (
        "1 rule of 0 templates and 1 address slow down in another way for 2 domain patterns."
    )
    program.refresh_from_db()
    assert program.backoff_connections_value == 30
    assert root.post(url, {**posted, "_confirmed": form.confirmation}).status_code == 302
    program.refresh_from_db()
    assert program.backoff_connections_value == 10
    nothing = {**posted, "failure_rate": "", "_confirmed": ""}
    assert "failure_rate" in root.post(url, nothing).context["adminform"].form.errors


def test_tenants_see_the_rules_of_their_addresses_and_change_none(acme, platform):
    ip_addresses.update(acme.address.pk, {"rules_new": [rule(8)]}, actor=SYSTEM)
    client = sign_in(acme.owner)
    page = client.get(change_url(acme.address))
    assert b"d8.example" in page.content
    assert b"rules-TOTAL_FORMS" not in page.content
    assert client.post(change_url(acme.address), address_form(acme.address, [])).status_code == 403


def two_rules(address):
    """Give the address two rules, and return what the browser posts where nothing was touched."""
    ip_addresses.update(address.pk, {"rules_new": [rule(1), rule(2)]}, actor=SYSTEM)
    ids = [each["id"] for each in rule_sets.document(RuleSet.objects.get(pk=address.rules_id))["rules"]]
    return address_form(address, [row(1, id=ids[0]), row(2, id=ids[1])], **{"rules-INITIAL_FORMS": 2})


@pytest.mark.parametrize(
    "broken",
    [
        {"rules-TOTAL_FORMS": "-1"},
        {"rules-TOTAL_FORMS": "0"},
        {"rules-TOTAL_FORMS": "1"},
        {"rules-TOTAL_FORMS": "x"},
        {"rules-TOTAL_FORMS": ""},
        {"rules-TOTAL_FORMS": None},
        {"rules-TOTAL_FORMS": "3"},
        {"rules-TOTAL_FORMS": "999999999"},
        {"rules-TOTAL_FORMS": "9" * 5_000},
        {"rules-INITIAL_FORMS": "-1"},
        {"rules-INITIAL_FORMS": "0"},
        {"rules-INITIAL_FORMS": "3"},
        {"rules-INITIAL_FORMS": None},
        {"rules-TOTAL_FORMS": None, "rules-INITIAL_FORMS": None},
        {"rules-TOTAL_FORMS": "0", "rules-INITIAL_FORMS": "0"},
    ],
    ids=str,
)
def test_a_form_that_did_not_arrive_whole_deletes_no_rule(broken, platform, root):
    address = platform.address
    posted = two_rules(address) | {"name": "other"} | broken
    audited = AuditEntry.objects.count()
    response = root.post(change_url(address), {name: value for name, value in posted.items() if value is not None})
    assert response.status_code == 200
    assert set(response.context["adminform"].form.non_field_errors()) <= {INCOMPLETE, CHANGED_MEANWHILE, TOO_MANY}
    assert response.context["adminform"].form.non_field_errors()
    address.refresh_from_db()
    assert (address.name, documents(address.rules_id)) == ("spare", [rule(1), rule(2)])
    assert AuditEntry.objects.count() == audited


TOO_MANY = "Please submit at most 250 forms."


def test_a_row_that_is_missing_is_no_rule_taken_away(platform, root):
    address = platform.address
    posted = {name: value for name, value in two_rules(address).items() if not name.startswith("rules-1-")}
    assert root.post(change_url(address), posted).context["adminform"].form.non_field_errors() == [INCOMPLETE]
    assert documents(address.rules_id) == [rule(1), rule(2)]


def test_rules_that_somebody_else_added_meanwhile_are_not_taken_away(platform, root):
    address = platform.address
    posted = two_rules(address)
    ip_addresses.update(address.pk, {"rules_new": [rule(3)]}, actor=SYSTEM)
    refused = root.post(change_url(address), {**posted, "rules-0-max_messages_per_hour": 5})
    assert refused.context["adminform"].form.non_field_errors() == [CHANGED_MEANWHILE]
    assert documents(address.rules_id) == [rule(1), rule(2), rule(3)]


def test_a_template_and_a_routing_rule_are_held_to_the_same(platform, root):
    template, routing_rule = platform.template, platform.routing_rule
    url = reverse("admin:throttling_throttlingtemplate_change", args=[template.pk])
    refused = root.post(url, template_form(template, [], name="other", **{"rules-TOTAL_FORMS": -1}))
    assert refused.context["adminform"].form.non_field_errors() == [INCOMPLETE]
    assert len(documents(template.rules_id)) == 1
    url = reverse("admin:ippools_routingrule_change", args=[routing_rule.pk])
    posted = {"name": "other", "randomization_type": "random", "deliver_through": "1 spare"}
    rows = {"overrides-TOTAL_FORMS": "-1", "overrides-INITIAL_FORMS": "0"}
    for broken in (rows, {}, {**rows, "overrides-TOTAL_FORMS": "x"}):
        refused = root.post(url, {**posted, **broken})
        assert refused.context["adminform"].form.non_field_errors() == [INCOMPLETE]
    routing_rule.refresh_from_db()
    assert routing_rule.name == "split"
