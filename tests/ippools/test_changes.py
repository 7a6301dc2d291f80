"""No change, no write; and every entry of the audit trail can bring its record back."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from core.models import AuditEntry
from ippools import ip_addresses, relay_servers, routing_rules, virtual_mtas
from ippools.addresses import NewAddress, create_many
from ippools.models import AddressIdentity, IPAddress
from tests import words
from throttling import programs, rules, templates

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

SYSTEM = Actor.system()
LIMITS = {"max_concurrent_connections": 1, "max_messages_per_hour": 2}
RULES = [{**LIMITS, "domains": ["a.com", "*.a.com"], "throttle_program": None}, {**LIMITS, "domains": ["b.com"]}]


@pytest.fixture
def address():
    return words.ip_addresses.create(
        {
            "name": "out-1",
            "ipv4": "192.0.2.1",
            "ipv6": "::192.0.2.7",
            "hostname": "out.example.com",
            "throttling_template": {"name": "Default"},
            "default": {"max_concurrent_connections": None, "max_messages_per_hour": 5},
            "rules": RULES,
        },
        actor=SYSTEM,
    )


WRITES = ("INSERT", "UPDATE", "DELETE")


def writes_of(act):
    """Return the statements by which the act wrote, and how many entries it left in the trail."""
    before = AuditEntry.objects.count()
    with CaptureQueriesContext(connection) as captured:
        act()
    written = [each["sql"] for each in captured if each["sql"].startswith(WRITES)]
    return written, AuditEntry.objects.count() - before


def test_an_address_that_stays_as_it_is(address):
    AddressIdentity.objects.create(ip_address=address)
    same = ip_addresses.fields_of(address.document())
    ids = [rule.pk for rule in address.rules.rules.all()]
    for fields in (
        {},
        {"name": "out-1", "ipv6": "0::c000:207"},
        {name: value for name, value in same.items() if name != "rules"},
        {**same, "rules": [{**rule, "id": pk} for rule, pk in zip(same["rules"], ids, strict=True)]},
        {"added_rules": []},
    ):
        assert writes_of(lambda fields=fields: ip_addresses.change(address.pk, actor=SYSTEM, **fields)) == ([], 0)
    assert IPAddress.objects.get().sender_changed_at is None


def test_rules_that_stay_as_they_are(address):
    first = address.rules.rules.first()
    for fields in ({}, {"domains": ["A.com", "*.a.com"]}, {**LIMITS, "throttle_program": None}):
        assert writes_of(lambda fields=fields: rules.change(address, first.pk, actor=SYSTEM, **fields)) == ([], 0)
    # Another order is another rule.
    written, entries = writes_of(lambda: rules.change(address, first.pk, actor=SYSTEM, domains=["*.a.com", "a.com"]))
    assert (len(written), entries) == (3, 1)


def test_templates_and_programs_that_stay_as_they_are():
    template = words.templates.create({"name": "T", "default": LIMITS, "rules": RULES}, actor=SYSTEM)
    ids = [rule.pk for rule in template.rules.rules.all()]
    same = templates.fields_of(template.document())
    same["rules"] = [{**rule, "id": pk} for rule, pk in zip(same["rules"], ids, strict=True)]
    assert writes_of(lambda: templates.change(template.pk, actor=SYSTEM, **same)) == ([], 0)
    program = programs.create(actor=SYSTEM, name="P", failure_rate=5)
    assert writes_of(lambda: programs.change(program.pk, actor=SYSTEM, name="P", failure_rate=5)) == ([], 0)


def test_relay_servers_routing_rules_and_the_default_that_stay_as_they_are(address):
    relay = relay_servers.create(
        actor=SYSTEM,
        name="relay",
        source_ip="192.0.2.2",
        source_hostname="out.example.com",
        destination_hostname="relay.example.com",
        destination_port=25,
        destination_password="secret",
        max_concurrent_connections=0,
        max_messages_per_hour=0,
    )
    for fields in ({}, {"name": "relay", "redirect": None}, {"destination_password": "secret"}):
        assert writes_of(lambda fields=fields: relay_servers.change(relay.pk, actor=SYSTEM, **fields)) == ([], 0)
    through = {
        "randomization_type": "random",
        "deliver_through": [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 2.5}],
    }
    route = words.routing_rules.create(
        {"name": "route", "default": through, "domain_overrides": [{"domains": ["a.com"], **through}]}, actor=SYSTEM
    )
    same = routing_rules.fields_of(route.document())
    override = route.domain_overrides.get().pk
    same["domain_overrides"] = [{**each, "id": override} for each in same["domain_overrides"]]
    assert writes_of(lambda: routing_rules.change(route.pk, actor=SYSTEM, **same)) == ([], 0)
    words.virtual_mtas.choose_default({"virtual_mta": {"id": address.pk}}, actor=SYSTEM)
    again = {"virtual_mta": {"name": "OUT-1"}}
    assert writes_of(lambda: words.virtual_mtas.choose_default(again, actor=SYSTEM)) == ([], 0)
    assert virtual_mtas.default_virtual_mta().pk == address.pk


def test_an_address_made_in_bulk_comes_back_as_it_was_made():
    made = create_many(
        [NewAddress(ipv4="192.0.2.1", hostname="out.example.com", priority=7, max_messages_per_hour=9)], actor=SYSTEM
    )[0]
    first = AuditEntry.objects.get(act="ip_address.created").after
    words.ip_addresses.update(
        made.pk,
        {
            "name": "other",
            "hostname": "other.example.com",
            "priority": 100,
            "default": {"max_concurrent_connections": 1, "max_messages_per_hour": None},
            "rules_new": RULES,
        },
        actor=SYSTEM,
    )
    restored = ip_addresses.change(made.pk, actor=SYSTEM, **ip_addresses.fields_of(first))
    assert restored.document() == first
