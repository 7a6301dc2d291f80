"""…/throttling_rules of addresses and of templates: one suite for both."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import AuditEntry
from tests.api.greenarrow.conftest import SYSTEM, refusal
from tests.words import ip_addresses, templates
from throttling.models import RuleDomain, ThrottleProgram


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


@pytest.fixture(params=["ip_addresses", "throttling_templates"])
def owner(request, address, template):
    """The URL of an owner with two rules."""
    if request.param == "ip_addresses":
        return f"ip_addresses/{address.pk}"
    rules = [rule("ip1-domain1.com", "ip1-domain2.com"), rule("ip1-domain3.com", "ip1-domain4.com")]
    templates.update(template.pk, {"rules_new": rules}, actor=SYSTEM)
    return f"throttling_templates/{template.pk}"


def rules_of(call, owner):
    [record] = call.data("GET", owner).values()
    return record["rules"]


def create(call, owner, values):
    return call.data("POST", f"{owner}/throttling_rules", {"throttling_rule": values})["throttling_rule"]


def test_create(call, owner):
    program = ThrottleProgram.objects.get(is_builtin=True)
    created = create(call, owner, rule("New-domain-1.com", "*.x.com", throttle_program={"name": "automatic backoff"}))
    assert created == {
        "id": created["id"],
        "domains": ["new-domain-1.com", "*.x.com"],
        "max_concurrent_connections": 1,
        "max_messages_per_hour": 2,
        "throttle_program": {"id": program.pk, "name": "Automatic Backoff"},
    }
    assert rules_of(call, owner)[2:] == [created]


def test_create_names_every_fault(call, owner):
    values = {"domains": ["x y", "IP1-domain1.com"], "max_messages_per_hour": "5", "throttle_program": {"id": 99}}
    assert call.faults("POST", f"{owner}/throttling_rules", {"throttling_rule": values}) == [
        'domains[0] "x y" is not a valid domain name',
        "max_concurrent_connections is required",
        "max_messages_per_hour must be an integer from 0 to 2147483647",
        'domains[1] "IP1-domain1.com" has already been taken',
        "throttle_program refers to a throttle program that does not exist",
    ]
    assert call.faults("POST", f"{owner}/throttling_rules", {"throttling_rule": {}}) == [
        "domains is required",
        "max_concurrent_connections is required",
        "max_messages_per_hour is required",
    ]


def test_the_251st_rule_is_refused(call, owner):
    resource, _, pk = owner.partition("/")
    acts = {"ip_addresses": ip_addresses, "throttling_templates": templates}[resource]
    acts.update(int(pk), {"rules_new": [rule(f"d{number}.example") for number in range(248)]}, actor=SYSTEM)
    assert len(rules_of(call, owner)) == 250
    assert call.faults("POST", f"{owner}/throttling_rules", {"throttling_rule": rule("one-more.example")}) == [
        "There can be at most 250 throttling rules"
    ]
    # A place that becomes free can be taken again.
    first = rules_of(call, owner)[0]["id"]
    call.data("DELETE", f"{owner}/throttling_rules/{first}")
    assert create(call, owner, rule("one-more.example"))["domains"] == ["one-more.example"]


def test_update_changes_what_is_given(call, owner):
    created = create(call, owner, rule("a.com", "b.com", throttle_program={"name": "Automatic Backoff"}))
    url = f"{owner}/throttling_rules/{created['id']}"

    def put(**values):
        return call.data("PUT", url, {"throttling_rule": values})["throttling_rule"]

    assert put(max_messages_per_hour=9) == {**created, "max_messages_per_hour": 9}
    assert put(domains=["B.com", "c.com"])["domains"] == ["b.com", "c.com"]
    # An absent program stays, and null takes it away.
    assert put(max_messages_per_hour=2)["throttle_program"] == created["throttle_program"]
    assert put(throttle_program=None) == {**created, "domains": ["b.com", "c.com"], "throttle_program": None}
    assert put(id=5) == {**created, "domains": ["b.com", "c.com"], "throttle_program": None}
    # What a rule gave up another may have.
    assert create(call, owner, rule("a.com"))["domains"] == ["a.com"]


def test_update_reads_the_set_and_its_rules_once(call, owner):
    """Who asks and their memberships; the owner; its set, locked, and rules; the rule; the audit trail; a savepoint around."""
    url = f"{owner}/throttling_rules/{rules_of(call, owner)[0]['id']}"
    with CaptureQueriesContext(connection) as captured:
        call.data("PUT", url, {"throttling_rule": {"max_messages_per_hour": 77}})
    statements = [each["sql"] for each in captured]
    assert len(statements) <= 9, "\n".join(statements)
    for table in ("throttling_ruleset", "throttling_rule"):
        assert sum(f'FROM "{table}"' in each for each in statements) == 1


def test_update_refuses_with_every_fault_and_changes_nothing(call, owner):
    before = rules_of(call, owner)
    values = {"domains": ["ip1-domain3.com", "q.com", "Q.com"], "max_messages_per_hour": None, "throttle_program": 5}
    assert call.faults("PUT", f"{owner}/throttling_rules/{before[0]['id']}", {"throttling_rule": values}) == [
        "max_messages_per_hour must be an integer from 0 to 2147483647",
        "throttle_program must be null or an object",
        'domains[0] "ip1-domain3.com" has already been taken',
        'domains[2] "Q.com" has already been taken',
    ]
    assert call.faults("PUT", f"{owner}/throttling_rules/{before[0]['id']}", {"throttling_rule": {"domains": []}}) == [
        "domains must contain at least one domain name"
    ]
    assert rules_of(call, owner) == before


def test_delete(call, owner):
    first, second = rules_of(call, owner)
    assert call.data("DELETE", f"{owner}/throttling_rules/{first['id']}") == {}
    assert rules_of(call, owner) == [second]
    assert not RuleDomain.objects.filter(rule_id=first["id"]).exists()
    assert call("DELETE", f"{owner}/throttling_rules/{first['id']}", status=404) == refusal(
        "not_found", "The throttling rule could not be found"
    )


def test_another_owner_s_rule_is_not_found(call, owner, template):
    other = ip_addresses.create(
        {
            "name": "other",
            "ipv4": "10.7.7.7",
            "hostname": "o.com",
            "throttling_template": {"id": template.pk},
            "rules": [rule("other.com")],
        },
        actor=SYSTEM,
    )
    theirs = other.rules.rules.get().pk
    for verb, payload in (("PUT", {"throttling_rule": {"max_messages_per_hour": 5}}), ("DELETE", None)):
        assert call(verb, f"{owner}/throttling_rules/{theirs}", payload, status=404)["error_code"] == "not_found"
    assert other.rules.rules.get().max_messages_per_hour == 2


def test_the_ids_of_both_kinds_of_rules_are_one_sequence(call, address, template):
    ids = [
        create(call, f"{kind}/{pk}", rule("x.com"))["id"]
        for kind, pk in (("ip_addresses", address.pk), ("throttling_templates", template.pk))
    ]
    assert ids[1] == ids[0] + 1


def test_the_trail_belongs_to_the_owner(call, address):
    created = create(call, f"ip_addresses/{address.pk}", rule("x.com"))
    url = f"ip_addresses/{address.pk}/throttling_rules/{created['id']}"
    call.data("PUT", url, {"throttling_rule": {"max_messages_per_hour": 5}})
    call.data("DELETE", url)
    trail = AuditEntry.objects.filter(target_type="ippools.ipaddress", target_id=str(address.pk)).order_by("id")

    def messages(document):
        """The limit of the rule in a document, which is the whole address's."""
        assert (document["name"], document["ipv4"]) == ("ipaddr-1", "10.0.0.28")
        found = [each["max_messages_per_hour"] for each in document["rules"] if each["id"] == created["id"]]
        return found[0] if found else None

    assert [(each.act, messages(each.before), messages(each.after)) for each in trail[1:]] == [
        ("ip_address.rule_created", None, 2),
        ("ip_address.rule_changed", 2, 5),
        ("ip_address.rule_deleted", 5, None),
    ]
