"""/routing_rules"""

import pytest

from ippools.models import DeliveryTarget, DomainOverride, OverrideDomain
from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from tests.api.greenarrow.test_relay_servers import RELAY
from tests.words import relay_servers

ROOT = "routing_rule"


@pytest.fixture
def relay(db):
    return relay_servers.create(RELAY, actor=SYSTEM)


def through(*virtual_mtas, kind="random", portion=1):
    return {
        "randomization_type": kind,
        "deliver_through": [{"virtual_mta": {"id": each}, "portion_of_mail": portion} for each in virtual_mtas],
    }


def create(call, **values):
    return call.data("POST", "routing_rules", {ROOT: {"name": "route", **values}})[ROOT]


def test_create_and_show(call, address, relay):
    default = {
        "randomization_type": "message_constant",
        "deliver_through": [
            {"virtual_mta": {"name": "IPADDR-1"}, "portion_of_mail": 2.5},
            {"virtual_mta": {"id": str(relay.pk)}, "portion_of_mail": 1},
        ],
    }
    override = {"domains": ["[*.]Example.com", "bücher.example"], **through(relay.pk, kind="email_address_constant")}
    created = create(call, default=default, domain_overrides=[override])
    of_address = {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"}
    of_relay = {"type": "relay_server", "id": relay.pk, "name": "relay-1"}
    assert created == {
        "id": created["id"],
        "name": "route",
        "domain_overrides": [
            {
                "id": created["domain_overrides"][0]["id"],
                "domains": ["[*.]example.com", "xn--bcher-kva.example"],
                "randomization_type": "email_address_constant",
                "deliver_through": [{"virtual_mta": of_relay, "portion_of_mail": 1}],
            }
        ],
        "default": {
            "randomization_type": "message_constant",
            "deliver_through": [
                {"virtual_mta": of_address, "portion_of_mail": 2.5},
                {"virtual_mta": of_relay, "portion_of_mail": 1},
            ],
        },
    }
    assert call("GET", f"routing_rules/{created['id']}") == success({ROOT: created})
    copy = call.data("POST", "routing_rules", {ROOT: {**created, "name": "copy"}})[ROOT]
    assert copy["default"] == created["default"]
    assert copy["domain_overrides"][0]["domains"] == created["domain_overrides"][0]["domains"]
    assert copy["domain_overrides"][0]["id"] != created["domain_overrides"][0]["id"]


def test_create_names_every_fault(call, address):
    values = {
        "name": "ipaddr-1",
        "default": {
            "randomization_type": "Random",
            "deliver_through": [
                {"virtual_mta": {"id": 999}, "portion_of_mail": 0},
                {"virtual_mta": {"id": address.pk}},
                {"virtual_mta": {"name": "IPADDR-1"}, "portion_of_mail": 1},
                5,
            ],
        },
        "domain_overrides": [
            {"domains": [], "randomization_type": "random", "deliver_through": []},
            {"domains": ["x y", "a.com"], **through(address.pk)},
            {"domains": ["A.com"], **through(address.pk)},
        ],
    }
    assert call.faults("POST", "routing_rules", {ROOT: values}) == [
        "name has already been taken",
        "default.randomization_type must be one of random, message_constant, email_address_constant",
        "default.deliver_through[3] must be an object",
        "default.deliver_through[0].portion_of_mail must be a number from 0.0001 to 99999999",
        "default.deliver_through[1].portion_of_mail is required",
        "domain_overrides[0].domains must contain at least one domain name",
        "domain_overrides[0].deliver_through must contain at least one VirtualMTA",
        'domain_overrides[1].domains[0] "x y" is not a valid domain name',
        'domain_overrides[2].domains[0] "A.com" has already been taken',
        "default.deliver_through[0].virtual_mta refers to a VirtualMTA that does not exist",
        "default.deliver_through[2].virtual_mta is named twice among these targets",
    ]
    assert call.faults("POST", "routing_rules", {ROOT: {}}) == ["name is required", "default is required"]
    assert not DeliveryTarget.objects.exists()


@pytest.mark.parametrize("portion", [0, -1, "1", True, None, 0.00001, 100_000_000, 1e300])
def test_a_bad_portion(call, address, portion):
    values = {"name": "r", "default": through(address.pk, portion=portion)}
    assert call.faults("POST", "routing_rules", {ROOT: values}) == [
        "default.deliver_through[0].portion_of_mail must be a number from 0.0001 to 99999999"
    ]


@pytest.mark.parametrize("portion", [1, 0.0001, 0.5, 99_999_999])
def test_a_good_portion(call, address, portion):
    created = create(call, default=through(address.pk, portion=portion))
    assert created["default"]["deliver_through"][0]["portion_of_mail"] == portion


def test_update_replaces_lists_and_keeps_named_overrides(call, address, relay):
    created = create(
        call,
        default=through(address.pk),
        domain_overrides=[{"domains": ["a.com"], **through(relay.pk)}, {"domains": ["b.com"], **through(relay.pk)}],
    )
    url = f"routing_rules/{created['id']}"
    first = created["domain_overrides"][0]
    # Nothing given changes nothing; the default may be changed in part.
    assert call.data("PUT", url, {ROOT: {}})[ROOT] == created
    changed = call.data("PUT", url, {ROOT: {"default": {"randomization_type": "message_constant"}}})[ROOT]
    assert changed == {**created, "default": {**created["default"], "randomization_type": "message_constant"}}
    overrides = [
        {"domains": ["new.com"], **through(address.pk)},
        {**first, "domains": ["b.com", "a.com"]},
    ]
    after = call.data("PUT", url, {ROOT: {"domain_overrides": overrides}})[ROOT]["domain_overrides"]
    assert [(each["id"] == first["id"], each["domains"]) for each in after] == [
        (True, ["b.com", "a.com"]),
        (False, ["new.com"]),
    ]
    assert call.data("PUT", url, {ROOT: {"domain_overrides": []}})[ROOT]["domain_overrides"] == []
    assert (DomainOverride.objects.count(), OverrideDomain.objects.count()) == (0, 0)


def test_a_circle_is_refused_wherever_it_closes(call, address, relay):
    route = create(call, default=through(relay.pk))
    url = f"routing_rules/{route['id']}"
    call.data("PUT", f"ip_addresses/{address.pk}", {"ip_address": {"redirect": {"id": route["id"]}}})
    assert call.faults("PUT", url, {ROOT: {"default": through(relay.pk, address.pk, route["id"])}}) == [
        "default.deliver_through[1].virtual_mta must not make a loop",
        "default.deliver_through[2].virtual_mta must not be the routing rule itself",
    ]
    values = {"redirect": {"id": route["id"]}}
    assert call.faults("PUT", f"relay_servers/{relay.pk}", {"relay_server": values}) == [
        "redirect must not make a loop"
    ]


def test_delete(call, address):
    route = create(call, default=through(address.pk), domain_overrides=[{"domains": ["a.com"], **through(address.pk)}])
    url = f"routing_rules/{route['id']}"
    call.data("PUT", "virtual_mtas/default", {"virtual_mta": {"id": route["id"]}})
    assert call("DELETE", url, status=409) == refusal(
        "conflict", "The default VirtualMTA cannot be deleted; choose another one first"
    )
    call.data("PUT", "virtual_mtas/default", {"virtual_mta": None})
    assert call("DELETE", url) == success({})
    assert not DeliveryTarget.objects.exists()


def test_more_domains_than_are_written_at_once_are_refused(call, address):
    names = [f"d{number}.example" for number in range(10_001)]
    overrides = [{"domains": some, **through(address.pk)} for some in (names[:5_000], names[5_000:])]
    values = {"name": "r", "default": through(address.pk), "domain_overrides": overrides}
    assert call.faults("POST", "routing_rules", {ROOT: values}) == [
        "domain_overrides must not have more than 10,000 domains in all"
    ]


def test_more_overrides_or_targets_than_are_written_at_once_are_refused(call, address):
    """All changes of addresses wait for the lock under which they are written."""
    overrides = [{"domains": [f"d{number}.example"], **through(address.pk)} for number in range(1_001)]
    values = {"name": "r", "default": through(address.pk), "domain_overrides": overrides}
    assert call.faults("POST", "routing_rules", {ROOT: values}) == ["domain_overrides must not be more than 1,000"]
    values["domain_overrides"] = []
    values["default"] = through(*[address.pk] * 5_001)
    said = ["There can be at most 5,000 VirtualMTAs to deliver through in all"]
    assert call.faults("POST", "routing_rules", {ROOT: values}) == said
