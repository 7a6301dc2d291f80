"""PUT /ip_addresses/{id}: partial, all or nothing."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import AuditEntry
from tests.api.greenarrow.conftest import refusal


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


@pytest.fixture
def url(address):
    return f"ip_addresses/{address.pk}"


def put(call, url, **values):
    return call.data("PUT", url, {"ip_address": values})["ip_address"]


def test_it_changes_what_is_given_and_nothing_else(call, url):
    before = call.data("GET", url)["ip_address"]
    assert put(call, url, hostname="other.example.com") == {**before, "hostname": "other.example.com"}
    assert put(call, url, delivery_paused=True) == {**before, "hostname": "other.example.com", "delivery_paused": True}


def test_an_update_of_nothing_changes_nothing(call, url):
    assert put(call, url) == call.data("GET", url)["ip_address"]


def test_every_attribute_can_be_changed(call, url, address):
    call.data(
        "POST",
        "throttling_templates",
        {
            "throttling_template": {
                "name": "Other",
                "default": {"max_concurrent_connections": 1, "max_messages_per_hour": 1},
            }
        },
    )
    other = call.data(
        "POST",
        "ip_addresses",
        {
            "ip_address": {
                "name": "target",
                "ip": "10.0.0.99",
                "hostname": "t.example.com",
                "throttling_template": {"name": "other"},
            }
        },
    )["ip_address"]
    changed = put(
        call,
        url,
        name="new name",
        ip="10.0.0.30",
        hostname="h30.example.com",
        redirect={"name": "TARGET"},
        throttling_template={"name": "OTHER"},
        default={"max_concurrent_connections": 5, "max_messages_per_hour": 0},
        delivery_paused=True,
    )
    assert {name: value for name, value in changed.items() if name != "rules"} == {
        "id": address.pk,
        "name": "new name",
        "ip": "10.0.0.30",
        "hostname": "h30.example.com",
        "redirect": {"type": "ip_address", "id": other["id"], "name": "target"},
        "throttling_template": other["throttling_template"],
        "default": {"max_concurrent_connections": 5, "max_messages_per_hour": 0},
        "delivery_paused": True,
    }
    assert put(call, url, redirect=None)["redirect"] is None


def test_default_changes_only_the_keys_given(call, url):
    put(call, url, default={"max_concurrent_connections": 5, "max_messages_per_hour": 6})
    assert put(call, url, default={"max_messages_per_hour": None})["default"] == {
        "max_concurrent_connections": 5,
        "max_messages_per_hour": None,
    }


def test_an_address_may_keep_its_own_name_and_ip(call, url):
    assert put(call, url, name="IPaddr-1", ip="10.0.0.28")["name"] == "IPaddr-1"


def test_rules_is_refused_and_rules_new_adds(call, url):
    before = call.data("GET", url)["ip_address"]["rules"]
    assert call.faults("PUT", url, {"ip_address": {"rules": []}}) == [
        "rules may not be given on an update: use rules_new to add rules, and the rules' own URLs to change or delete them"
    ]
    after = put(call, url, rules_new=[rule("b.com"), rule("a.com", "[*.]b.com")])["rules"]
    assert after[:2] == before
    assert [each["domains"] for each in after[2:]] == [["b.com"], ["a.com", "[*.]b.com"]]


def test_a_record_as_read_is_refused_for_its_rules_alone(call, url):
    shown = call.data("GET", url)["ip_address"]
    assert len(call.faults("PUT", url, {"ip_address": shown})) == 1
    del shown["rules"]
    assert call.data("PUT", url, {"ip_address": shown})["ip_address"]["rules"] != []


def test_new_rules_may_not_take_domains_that_the_address_has(call, url):
    assert call.faults(
        "PUT", url, {"ip_address": {"rules_new": [rule("new.com", "IP1-domain3.com"), rule("NEW.com")]}}
    ) == [
        'rules_new[0].domains[1] "IP1-domain3.com" has already been taken',
        'rules_new[1].domains[0] "NEW.com" has already been taken',
    ]


def test_an_update_that_fails_in_its_last_rule_changes_nothing(call, url):
    before = call.data("GET", url)
    entries = AuditEntry.objects.count()
    found = call.faults(
        "PUT",
        url,
        {
            "ip_address": {
                "name": "other",
                "hostname": "other.example.com",
                "default": {"max_messages_per_hour": 3},
                "rules_new": [rule(f"d{n}.example") for n in range(20)] + [rule("bad_domain")],
            }
        },
    )
    assert found == ['rules_new[20].domains[0] "bad_domain" is not a valid domain name']
    assert call.data("GET", url) == before
    assert AuditEntry.objects.count() == entries


def test_250_rules_are_the_most(call, url):
    put(call, url, rules_new=[rule(f"d{n}.example") for n in range(247)])
    values = {"ip_address": {"rules_new": [rule("a.example"), rule("b.example")]}}
    assert call.faults("PUT", url, values) == ["rules_new must not make more than 250 rules"]
    assert len(put(call, url, rules_new=[rule("a.example")])["rules"]) == 250


def test_redirects_make_no_loop(call, url, address, template):
    def make(number, redirect):
        values = {
            "name": f"x{number}",
            "ip": f"10.1.0.{number}",
            "hostname": "h.com",
            "throttling_template": {"id": template.pk},
            "redirect": {"id": redirect},
        }
        return call.data("POST", "ip_addresses", {"ip_address": values})["ip_address"]["id"]

    last = make(2, make(1, address.pk))
    assert call.faults("PUT", url, {"ip_address": {"redirect": {"id": address.pk}}}) == [
        "redirect must not be the VirtualMTA itself"
    ]
    assert call.faults("PUT", url, {"ip_address": {"redirect": {"id": last}}}) == ["redirect must not make a loop"]
    # The same chain in the other direction is none.
    assert put(call, f"ip_addresses/{last}", redirect={"id": address.pk})["redirect"]["id"] == address.pk


def test_required_attributes_may_not_become_null(call, url):
    assert call.faults(
        "PUT",
        url,
        {"ip_address": {"name": None, "ip": None, "hostname": None, "throttling_template": None, "rules_new": None}},
    ) == [
        "throttling_template must be an object",
        "name is required",
        "ip is required",
        "hostname is required",
        "rules_new must be an array",
    ]


def test_what_is_not_there_is_not_found(call):
    assert call("PUT", "ip_addresses/999", {"ip_address": {"name": "x"}}, status=404) == refusal(
        "not_found", "The IP address could not be found"
    )


def test_the_trail_has_what_was_and_what_is(call, url, address):
    put(call, url, name="renamed", rules_new=[rule("a.com")])
    entry = AuditEntry.objects.get(act="ip_address.changed")
    assert (entry.before["name"], entry.after["name"]) == ("ipaddr-1", "renamed")
    assert (len(entry.before["rules"]), len(entry.after["rules"])) == (2, 3)


def statements(call, url, **values):
    """Return the statements of a PUT, after one that has noted the token's use."""
    put(call, url)
    with CaptureQueriesContext(connection) as captured:
        put(call, url, **values)
    return [each["sql"] for each in captured]


def test_three_changed_fields_take_at_most_11_statements(call, url):
    """Who asks and their memberships; a savepoint; the address with its rule set, locked, and whether the name is taken; its
    rules and their domains; the name that it gives up; both tables of the address and the rule set; the audit trail; the
    savepoint's release. With another address, whether that is taken."""
    for fields in (
        {"name": "other", "hostname": "other.example.com", "delivery_paused": True},
        {"name": "third", "ip": "10.0.0.77", "hostname": "third.example.com"},
        {"name": "fourth", "delivery_paused": False, "default": {"max_messages_per_hour": 7}},
    ):
        found = statements(call, url, **fields)
        assert len(found) <= 11, "\n".join(found)


def test_an_empty_update_writes_nothing_by_at_most_6_statements(call, url):
    entries = AuditEntry.objects.count()
    found = statements(call, url)
    assert len(found) <= 6, "\n".join(found)
    assert not [each for each in found if each.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert AuditEntry.objects.count() == entries
