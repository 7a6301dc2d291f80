"""POST /ip_addresses: every rule of the page's attributes, on both sides of its boundary."""

import pytest

from core.models import AuditEntry
from ippools.models import IPAddress, VirtualMTA
from tests.api.greenarrow.conftest import refusal
from throttling.models import Rule, RuleSet


def given(**changes):
    """Return a good payload with changes; a change to None by `...` removes the attribute."""
    values = {
        "name": "ipaddr-4",
        "ip": "127.0.0.9",
        "hostname": "new-ip-example.com",
        "throttling_template": {"name": "Basic Throttling Template"},
    }
    values.update(changes)
    return {"ip_address": {name: value for name, value in values.items() if value is not ...}}


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


def faults(call, **changes):
    """Return what is wrong; nothing has been written then."""
    before = (VirtualMTA.objects.count(), RuleSet.objects.count(), Rule.objects.count(), AuditEntry.objects.count())
    found = call.faults("POST", "ip_addresses", given(**changes))
    after = (VirtualMTA.objects.count(), RuleSet.objects.count(), Rule.objects.count(), AuditEntry.objects.count())
    assert before == after
    return found


def made(call, **changes):
    return call.data("POST", "ip_addresses", given(**changes))["ip_address"]


def test_it_works_with_the_least(call, template):
    created = made(call)
    assert created == {
        "id": created["id"],
        "name": "ipaddr-4",
        "ip": "127.0.0.9",
        "hostname": "new-ip-example.com",
        "redirect": None,
        "throttling_template": {"id": template.pk, "name": "Basic Throttling Template"},
        "rules": [],
        "default": {"max_concurrent_connections": None, "max_messages_per_hour": None},
        "delivery_paused": False,
    }
    entry = AuditEntry.objects.get(act="ip_address.created")
    assert (entry.actor_label, entry.target_id) == ("operator", str(created["id"]))


def test_a_record_as_read_is_valid_input_again(call, address):
    shown = call.data("GET", f"ip_addresses/{address.pk}")["ip_address"]
    copy = call.data("POST", "ip_addresses", {"ip_address": {**shown, "name": "copy", "ip": "10.9.9.9"}})["ip_address"]
    assert copy["id"] != shown["id"]
    assert [each.pop("id") for each in copy["rules"]] != [each.pop("id") for each in shown["rules"]]
    assert copy == {**shown, "id": copy["id"], "name": "copy", "ip": "10.9.9.9"}


def test_it_names_every_fault_at_once(call, template):
    assert faults(
        call,
        name=" @",
        ip="010.0.0.1",
        hostname="-",
        throttling_template=...,
        redirect={"id": 77},
        rules=[
            rule("good.com"),
            7,
            rule("no good", "GOOD.com", max_messages_per_hour=-1, throttle_program={"name": "none"}),
        ],
        default={"max_concurrent_connections": "1"},
        delivery_paused="yes",
    ) == [
        "throttling_template is required",
        "name must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign",
        "name must not have leading or trailing whitespace",
        "ip must be a valid dotted-decimal IPv4 address",
        "hostname must start and end with a letter or number, and so must each of its labels",
        "redirect refers to a VirtualMTA that does not exist",
        "delivery_paused must be true or false",
        "default.max_concurrent_connections must be null or an integer from 0 to 2147483647",
        "rules[1] must be an object",
        'rules[2].domains[0] "no good" is not a valid domain name',
        "rules[2].max_messages_per_hour must be an integer from 0 to 2147483647",
        'rules[2].domains[1] "GOOD.com" has already been taken',
        "rules[2].throttle_program refers to a throttle program that does not exist",
    ]


def test_it_names_everything_that_is_missing(call):
    assert call.faults("POST", "ip_addresses", {"ip_address": {}}) == [
        "throttling_template is required",
        "name is required",
        "ip is required",
        "hostname is required",
    ]


# --- name ---------------------------------------------------------------------------------------------------------------

CHARACTERS = "name must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign"
LENGTH = "name must be from 1 to 200 characters in length"


@pytest.mark.parametrize(
    "name", ["x", "x" * 200, "!\"$%&'()*+-./:;<=>?[\\]^_`{|}~", "in between", "1.5", "1 2", "0x10", "1e3"]
)
def test_a_good_name(call, template, name):
    assert made(call, name=name)["name"] == name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (None, ["name is required"]),
        (5, ["name must be a string"]),
        ("", [LENGTH]),
        ("x" * 201, [LENGTH]),
        ("a,b", [CHARACTERS]),
        ("a#b", [CHARACTERS]),
        ("a@b", [CHARACTERS]),
        ("a\x1fb", [CHARACTERS]),
        ("a\x7fb", [CHARACTERS]),
        ("é", [CHARACTERS]),
        ("a\n", [CHARACTERS, "name must not have leading or trailing whitespace"]),
        (" a", ["name must not have leading or trailing whitespace"]),
        ("a ", ["name must not have leading or trailing whitespace"]),
        ("12", ["name must not be an integer"]),
        ("-12", ["name must not be an integer"]),
        ("+0", ["name must not be an integer"]),
        ("1" * 201, [LENGTH, "name must not be an integer"]),
    ],
)
def test_a_bad_name(call, template, name, found):
    assert faults(call, name=name) == found


def test_a_name_is_unique_over_all_kinds_whatever_its_case(call, address):
    call.data("POST", "relay_servers", {"relay_server": RELAY})
    call.data("POST", "routing_rules", {"routing_rule": routing_rule(address)})
    for name in ("IPADDR-1", "Relay-1", "ROUTE-1"):
        assert faults(call, name=name) == ["name has already been taken"]


RELAY = {
    "name": "relay-1",
    "source_ip": {"ip": "10.0.0.1", "hostname": "out.example.com"},
    "destination": {"hostname": "relay.example.com", "port": 25},
    "throttle_limits": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
}


def routing_rule(address):
    return {
        "name": "route-1",
        "default": {
            "randomization_type": "random",
            "deliver_through": [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}],
        },
    }


# --- ip -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", ["0.0.0.0", "255.255.255.255", "10.15.200.2"])
def test_a_good_ip(call, template, ip):
    assert made(call, ip=ip)["ip"] == ip


@pytest.mark.parametrize(
    "ip",
    [
        "",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1.1",
        "010.0.0.1",
        "10.0.0.01",
        " 10.0.0.1",
        "10.0.0.1\n",
        "::1",
        "1",
        "٣.1.1.1",
    ],
)
def test_a_bad_ip(call, template, ip):
    assert faults(call, ip=ip) == ["ip must be a valid dotted-decimal IPv4 address"]


def test_other_types_are_no_ip(call, template):
    assert faults(call, ip=None) == ["ip is required"]
    assert faults(call, ip=167772161) == ["ip must be a string"]


def test_an_ip_is_unique(call, address):
    assert faults(call, ip="10.0.0.28") == ["ip has already been taken"]


# --- hostname -----------------------------------------------------------------------------------------------------------

START_AND_END = "hostname must start and end with a letter or number, and so must each of its labels"
LETTERS = "hostname must contain only letters, numbers and -, in labels with single dots between them"


@pytest.mark.parametrize(
    "hostname",
    ["a", "1", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.example", "Mail-1.Example.com", "1.2.3", "1.2.3.4.5", "a--b"],
)
def test_a_good_hostname(call, template, hostname):
    assert made(call, hostname=hostname)["hostname"] == hostname


@pytest.mark.parametrize(
    ("hostname", "found"),
    [
        (None, ["hostname is required"]),
        (5, ["hostname must be a string"]),
        ("", ["hostname must be from 1 to 200 characters in length"]),
        ("a." * 100 + "a", ["hostname must be from 1 to 200 characters in length"]),
        (f"mail.{'a' * 64}.example", ["hostname must have labels of at most 63 characters"]),
        ("under_score.com", [LETTERS]),
        ("bücher.com", [LETTERS]),
        ("a b", [LETTERS]),
        ("a..b", [LETTERS]),
        ("a.b\n", [LETTERS, START_AND_END]),
        ("-a", [START_AND_END]),
        ("a-", [START_AND_END]),
        (".a", [START_AND_END]),
        ("a.", [START_AND_END]),
        ("a-.b", [START_AND_END]),
        ("10.0.0.1", ["hostname must not be an IPv4 address"]),
        ("256.0.0.1", ["hostname must not be an IPv4 address"]),
    ],
)
def test_a_bad_hostname(call, template, hostname, found):
    assert faults(call, hostname=hostname) == found


# --- references ---------------------------------------------------------------------------------------------------------


def test_a_reference_is_an_id_or_a_name_and_the_id_wins(call, address, template):
    shown = {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"}
    references = [
        {"id": address.pk},
        {"id": str(address.pk)},
        {"name": "IPADDR-1"},
        {"id": None, "name": "ipaddr-1"},
        {"id": address.pk, "name": "nobody"},
        {"id": address.pk, "name": 7},
        shown,
    ]
    for number, reference in enumerate(references):
        created = made(call, name=f"x-{number}", ip=f"10.1.0.{number}", redirect=reference)
        assert created["redirect"] == shown


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (5, " must be null or an object"),
        ("ipaddr-1", " must be null or an object"),
        ({}, " must have an id or a name"),
        ({"id": None}, " must have an id or a name"),
        ({"id": None, "name": None}, " must have an id or a name"),
        ({"id": True}, ".id must be an integer"),
        ({"id": 1.0}, ".id must be an integer"),
        ({"id": []}, ".id must be an integer"),
        ({"name": 5}, ".name must be a string"),
        ({"id": 0}, " refers to a VirtualMTA that does not exist"),
        ({"id": -1}, " refers to a VirtualMTA that does not exist"),
        ({"id": "x"}, " refers to a VirtualMTA that does not exist"),
        ({"id": "9" * 30}, " refers to a VirtualMTA that does not exist"),
        ({"id": 2**63 - 1}, " refers to a VirtualMTA that does not exist"),
        ({"name": ""}, " refers to a VirtualMTA that does not exist"),
        ({"id": 999999, "name": "ipaddr-1"}, " refers to a VirtualMTA that does not exist"),
    ],
)
def test_a_bad_reference(call, address, reference, found):
    assert faults(call, redirect=reference) == [f"redirect{found}"]


def test_a_template_is_referred_to_in_the_same_way(call, template):
    assert made(call, throttling_template={"name": "BASIC throttling TEMPLATE"})["throttling_template"] == {
        "id": template.pk,
        "name": "Basic Throttling Template",
    }
    assert faults(call, throttling_template=None, name="b", ip="1.1.1.1") == ["throttling_template must be an object"]
    assert faults(call, throttling_template={"name": "none"}, name="b", ip="1.1.1.1") == [
        "throttling_template refers to a throttling template that does not exist"
    ]


# --- the rest -----------------------------------------------------------------------------------------------------------


def test_read_only_and_unknown_attributes_are_ignored(call, template):
    created = made(call, id=77, priority=3, kind="relay_server", is_default=True, rules=[rule("a.com", id=5)])
    stored = IPAddress.objects.get(pk=created["id"])
    assert created["id"] != 77
    assert (stored.priority, stored.kind, stored.is_default) == (100, "ip_address", False)


def test_an_address_may_be_made_paused(call, template):
    assert made(call, delivery_paused=True)["delivery_paused"] is True


def test_a_form_is_no_json(call, template):
    answer = call.raw("POST", "ip_addresses", b"name=x", content_type="application/x-www-form-urlencoded", status=400)
    assert answer["error_code"] == refusal("invalid_request", "x")["error_code"]
