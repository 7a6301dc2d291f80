"""/virtual_mtas, /virtual_mtas/default, /virtual_mtas/{id}/used_by"""

import pytest

from core.models import AuditEntry
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress
from tests.api.greenarrow.conftest import SYSTEM
from tests.api.greenarrow.test_relay_servers import RELAY
from tests.words import relay_servers


@pytest.fixture
def relay(db):
    return relay_servers.create(RELAY, actor=SYSTEM)


def test_the_list_has_all_kinds(call, address, relay):
    through = [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}]
    values = {"name": "route", "default": {"randomization_type": "random", "deliver_through": through}}
    route = call.data("POST", "routing_rules", {"routing_rule": values})["routing_rule"]["id"]
    assert call.data("GET", "virtual_mtas") == {
        "virtual_mtas": [
            {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"},
            {"type": "relay_server", "id": relay.pk, "name": "relay-1"},
            {"type": "routing_rule", "id": route, "name": "route"},
        ],
        "pagination": {"page": 0, "per_page": 100, "num_pages": 1, "num_records": 3, "next_page_token": None},
    }


def test_the_default(call, address, relay):
    assert call.data("GET", "virtual_mtas/default") == {"virtual_mta": None}
    first = {"virtual_mta": {"type": "ip_address", "id": address.pk, "name": "ipaddr-1"}}
    second = {"virtual_mta": {"type": "relay_server", "id": relay.pk, "name": "relay-1"}}
    assert call.data("PUT", "virtual_mtas/default", {"virtual_mta": {"id": str(address.pk)}}) == first
    assert call.data("PUT", "virtual_mtas/default", {"virtual_mta": {"name": "RELAY-1"}}) == second
    assert call.data("PUT", "virtual_mtas/default", second) == second
    assert call.data("GET", "virtual_mtas/default") == second
    assert call.data("PUT", "virtual_mtas/default", {"virtual_mta": None}) == {"virtual_mta": None}
    assert call.data("GET", "virtual_mtas/default") == {"virtual_mta": None}
    trail = AuditEntry.objects.filter(act="virtual_mta.default_changed").order_by("id")
    assert [(each.target_label, each.after["is_default"]) for each in trail] == [
        ("ipaddr-1", True),
        ("ipaddr-1", False),
        ("relay-1", True),
        ("relay-1", False),
    ]


def test_a_default_must_exist(call, db):
    for reference in ({"id": 999}, {"name": "nobody"}):
        assert call.faults("PUT", "virtual_mtas/default", {"virtual_mta": reference}) == [
            "virtual_mta refers to a VirtualMTA that does not exist"
        ]
    assert call.faults("PUT", "virtual_mtas/default", {"virtual_mta": {}}) == ["virtual_mta must have an id or a name"]


def test_used_by_pages_over_several_kinds(call, address):
    made = create_many([NewAddress(ipv4=f"10.1.0.{n}", hostname="h.com") for n in range(99)], actor=SYSTEM)
    IPAddress.objects.filter(pk__in=[each.pk for each in made]).update(redirect=address.pk)
    relays = [
        relay_servers.create({**RELAY, "name": f"r{n}", "redirect": {"id": address.pk}}, actor=SYSTEM) for n in range(3)
    ]
    url = f"virtual_mtas/{address.pk}/used_by"
    first = call.data("GET", url)
    token = first["pagination"]["next_page_token"]
    second = call.data("GET", f"{url}?page_token={token}")
    assert second == call.data("GET", f"{url}?page=1")
    assert [row["id"] for row in first["used_by"]] == [each.pk for each in made] + [relays[0].pk]
    assert second["used_by"] == [{"type": "relay_server", "id": each.pk, "name": each.name} for each in relays[1:]]
    assert second["pagination"] == {
        "page": 1,
        "per_page": 100,
        "num_pages": 2,
        "num_records": 102,
        "next_page_token": None,
    }
