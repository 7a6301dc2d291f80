"""GET /ip_addresses/{id}"""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.audit import Actor
from ippools.addresses import NewAddress, create_many
from servers.pools import create_pool
from servers.provisioning import create_organization
from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from tests.words import ip_addresses
from throttling.models import ThrottlingTemplate


def test_it_works(call, address, template):
    ids = address.rules.rules.order_by("pk").values_list("pk", flat=True)
    assert call("GET", f"ip_addresses/{address.pk}") == success(
        {
            "ip_address": {
                "id": address.pk,
                "name": "ipaddr-1",
                "ip": "10.0.0.28",
                "hostname": "hostname-28.com",
                "redirect": None,
                "throttling_template": {"id": template.pk, "name": "Basic Throttling Template"},
                "rules": [
                    {
                        "id": ids[0],
                        "domains": ["ip1-domain1.com", "ip1-domain2.com"],
                        "max_concurrent_connections": 2,
                        "max_messages_per_hour": 70,
                        "throttle_program": None,
                    },
                    {
                        "id": ids[1],
                        "domains": ["ip1-domain3.com", "ip1-domain4.com"],
                        "max_concurrent_connections": 0,
                        "max_messages_per_hour": 20,
                        "throttle_program": None,
                    },
                ],
                "default": {"max_concurrent_connections": None, "max_messages_per_hour": None},
                "delivery_paused": False,
            }
        }
    )


def test_what_is_not_there_is_not_found(call, address):
    assert call("GET", f"ip_addresses/{address.pk + 1}", status=404) == refusal(
        "not_found", "The IP address could not be found"
    )


def test_another_kind_of_virtual_mta_is_no_address(call, address):
    payload = {
        "name": "route",
        "default": {
            "randomization_type": "random",
            "deliver_through": [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}],
        },
    }
    rule_id = call.data("POST", "routing_rules", {"routing_rule": payload})["routing_rule"]["id"]
    call("GET", f"ip_addresses/{rule_id}", status=404)
    call("GET", f"relay_servers/{rule_id}", status=404)
    call("GET", f"routing_rules/{address.pk}", status=404)


def test_an_address_of_the_other_dialect_is_shown_with_the_same_id(call):
    organization = create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=SYSTEM)
    [made] = create_pool(organization=organization, name="Pool", ips=["1.1.1.1"], actor=SYSTEM).addresses
    default = ThrottlingTemplate.objects.get(is_default=True)
    assert call.data("GET", f"ip_addresses/{made.pk}") == {
        "ip_address": {
            "id": made.pk,
            "name": "ip-1.1.1.1",
            "ip": "1.1.1.1",
            "hostname": "1-1-1-1.acme.postal",
            "redirect": None,
            "throttling_template": {"id": default.pk, "name": "Default"},
            "rules": [],
            "default": {"max_concurrent_connections": None, "max_messages_per_hour": None},
            "delivery_paused": False,
        }
    }


def test_250_rules_cost_as_many_queries_as_one(call, template):
    """The token's user, its memberships, the address with its template and redirect, its rules, their domains."""
    [few, many] = create_many(
        [NewAddress(ipv4=f"10.0.0.{n}", hostname="h.example.com", template=template) for n in (1, 2)], actor=SYSTEM
    )
    for address, count in ((few, 1), (many, 250)):
        rules = [
            {
                "domains": [f"d{n}.example", f"*.d{n}.example"],
                "max_concurrent_connections": 1,
                "max_messages_per_hour": 1,
                "throttle_program": {"name": "Automatic Backoff"},
            }
            for n in range(count)
        ]
        ip_addresses.update(address.pk, {"rules_new": rules}, actor=Actor.system())
        call.data("GET", f"ip_addresses/{address.pk}")
        with CaptureQueriesContext(connection) as queries:
            shown = call.data("GET", f"ip_addresses/{address.pk}")["ip_address"]
        assert len(shown["rules"]) == count
        assert len(queries) == 5
