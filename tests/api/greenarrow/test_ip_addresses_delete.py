"""DELETE /ip_addresses/{id}: refused while anything refers to the address."""

from django.utils import timezone

from core.models import AuditEntry
from ippools.models import IPAddress, IPPoolMember, VirtualMTA
from servers.pools import create_pool
from servers.provisioning import create_organization
from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from throttling.models import Rule, RuleDomain, RuleSet


def test_it_works(call, address):
    assert call("DELETE", f"ip_addresses/{address.pk}") == success({})
    assert not VirtualMTA.objects.exists()
    assert not RuleSet.objects.filter(kind="address").exists()
    assert (Rule.objects.count(), RuleDomain.objects.count()) == (0, 0)
    assert AuditEntry.objects.get(act="ip_address.deleted").before["rules"][0]["max_messages_per_hour"] == 70
    call("DELETE", f"ip_addresses/{address.pk}", status=404)


def test_every_reference_is_named(call, address, template):
    pool = create_pool(
        organization=create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=SYSTEM),
        name="Marketing",
        ips=["10.0.0.77"],
        actor=SYSTEM,
    ).pool
    IPPoolMember.objects.create(pool=pool, ip_address=address)
    other = call.data(
        "POST",
        "ip_addresses",
        {
            "ip_address": {
                "name": "b",
                "ip": "10.0.0.2",
                "hostname": "b.com",
                "throttling_template": {"id": template.pk},
                "redirect": {"id": address.pk},
            }
        },
    )["ip_address"]
    through = {
        "randomization_type": "random",
        "deliver_through": [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}],
    }
    route = call.data(
        "POST",
        "routing_rules",
        {
            "routing_rule": {
                "name": "route",
                "default": through,
                "domain_overrides": [{"domains": ["a.com"], **through}],
            }
        },
    )["routing_rule"]
    relay = call.data(
        "POST",
        "relay_servers",
        {
            "relay_server": {
                "name": "relay",
                "source_ip": {"ip": "10.0.0.1", "hostname": "o.com"},
                "destination": {"hostname": "r.com", "port": 25},
                "throttle_limits": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
                "redirect": {"name": "ipaddr-1"},
            }
        },
    )["relay_server"]
    dependencies = [
        {"type": "ip_address", "id": other["id"], "name": "b"},
        {"type": "relay_server", "id": relay["id"], "name": "relay"},
        {"type": "routing_rule", "id": route["id"], "name": "route"},
        {"type": "ip_pool", "id": pool.pk, "name": "Marketing"},
    ]
    assert call("DELETE", f"ip_addresses/{address.pk}", status=409) == refusal(
        "conflict",
        "It is used by ip_address b, relay_server relay, routing_rule route, ip_pool Marketing",
        data={"dependencies": dependencies},
    )
    # The VirtualMTAs' own list says the same, page by page.
    assert call.data("GET", f"virtual_mtas/{address.pk}/used_by") == {
        "used_by": dependencies,
        "pagination": {"page": 0, "per_page": 100, "num_pages": 1, "num_records": 4, "next_page_token": None},
    }
    assert IPAddress.objects.filter(pk=address.pk).exists()


def test_the_default_virtual_mta_is_not_deleted(call, address):
    call.data("PUT", "virtual_mtas/default", {"virtual_mta": {"id": address.pk}})
    assert call("DELETE", f"ip_addresses/{address.pk}", status=409) == refusal(
        "conflict", "The default VirtualMTA cannot be deleted; choose another one first"
    )
    call.data("PUT", "virtual_mtas/default", {"virtual_mta": None})
    call.data("DELETE", f"ip_addresses/{address.pk}")
