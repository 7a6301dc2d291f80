"""Blocklists as records: when their zones are asked, what of their answers counts, and since when."""

import datetime

import pytest
import time_machine

from core.audit import Actor
from core.errors import Invalid, NotFound
from core.models import AuditEntry
from ippools import blocklists, ip_addresses
from ippools.models import Blocklist, IPAddress, Listing
from tests.cast import SYSTEM, make_pool, make_tenant
from tests.dns_server import SERVFAIL, LocalDNS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]

NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
TEST_ENTRY = "2.0.0.127.bl.example. 60 IN A 127.0.0.2\n"
LISTED = "1.2.0.192.bl.example. 60 IN A 127.0.0.2\n"
ANN = Actor.of_command("test")


@pytest.fixture
def address(db) -> IPAddress:
    make_pool(make_tenant("Acme", server="Main").organization, "Main", "192.0.2.1", "192.0.2.2")
    return IPAddress.objects.get(ipv4="192.0.2.1")


@pytest.fixture
def bl(address) -> Blocklist:
    return blocklists.create(name="BL.example.", ranges="127.0.0.2", actor=SYSTEM)


def look(at, *, zones=True):
    """Do what the task does, at a time."""
    with time_machine.travel(at):
        if zones:
            blocklists.check_due_zones(seconds=5)
        blocklists.check_due_listings(seconds=5)


def listed(at):
    return list(Listing.objects.confirmed(at).values_list("address__ipv4", flat=True))


@pytest.mark.server
def test_a_listing_counts_when_it_was_seen_twice_an_hour_apart(dns: LocalDNS, bl):
    dns.load(TEST_ENTRY + LISTED)
    look(NOON)
    assert Listing.objects.count() == 2
    row = Listing.objects.get(address__ipv4="192.0.2.1")
    assert (row.listing_status, row.listed, row.listing_error) == (
        "invalid", "192.0.2.1", "bl.example lists 192.0.2.1 (127.0.0.2).",
    )  # fmt: skip
    assert row.first_seen_at == row.last_seen_at
    assert listed(NOON + MINUTE) == []
    # Not asked again before its time.
    look(NOON + 30 * MINUTE)
    assert dns.questions()["1.2.0.192.bl.example", "A"] == 1
    look(NOON + 70 * MINUTE)
    assert dns.questions()["1.2.0.192.bl.example", "A"] == 2
    assert listed(NOON + 71 * MINUTE) == ["192.0.2.1"]
    # What was not said again for hours does not count.
    assert listed(NOON + 8 * 60 * MINUTE) == []
    # When the zone takes it off, it is over at the next look.
    dns.remove("1.2.0.192.bl.example", "A")
    look(NOON + 140 * MINUTE)
    row.refresh_from_db()
    assert (row.listing_status, row.listed, row.first_seen_at, row.last_seen_at) == ("ok", "", None, None)
    assert listed(NOON + 141 * MINUTE) == []


@pytest.mark.server
def test_a_dead_zone_and_a_failing_resolver_list_nobody(dns: LocalDNS, bl):
    dns.load("*.bl.example. 60 IN A 127.0.0.2")
    for hours in range(4):
        look(NOON + hours * 61 * MINUTE)
    bl.refresh_from_db()
    assert bl.zone_status == "invalid"
    assert "answers everything" in bl.zone_error
    # A zone that is not believed is not even asked about addresses.
    assert Listing.objects.exclude(dns_checked_at=None).count() == 0
    dns.replace(TEST_ENTRY + LISTED)
    dns.fault("1.2.0.192.bl.example", SERVFAIL)
    look(NOON + 300 * MINUTE)
    look(NOON + 370 * MINUTE)
    assert Listing.objects.filter(first_seen_at__isnull=False).count() == 0
    assert listed(NOON + 371 * MINUTE) == []


@pytest.mark.server
def test_a_zone_that_dies_takes_its_listings_with_it(dns: LocalDNS, bl):
    dns.load(TEST_ENTRY + LISTED)
    look(NOON)
    look(NOON + 70 * MINUTE)
    assert listed(NOON + 71 * MINUTE) == ["192.0.2.1"]
    dns.replace("*.bl.example. 60 IN A 127.0.0.2")
    # Its test entries were fine a moment ago: the question about the address finds out.
    look(NOON + 140 * MINUTE, zones=False)
    assert Listing.objects.get(address__ipv4="192.0.2.2").first_seen_at is None
    look(NOON + 141 * MINUTE)
    assert listed(NOON + 142 * MINUTE) == []
    # A resolver that does not answer any more has the same effect.
    dns.replace(TEST_ENTRY + LISTED)
    look(NOON + 160 * MINUTE)
    assert listed(NOON + 161 * MINUTE) == ["192.0.2.1"]
    dns.fault("2.0.0.127.bl.example", SERVFAIL)
    look(NOON + 200 * MINUTE)
    assert Blocklist.objects.get().zone_status is None
    assert listed(NOON + 201 * MINUTE) == []


@pytest.mark.server
def test_it_asks_through_the_zones_own_resolver_about_the_public_address(dns: LocalDNS, address):
    with LocalDNS(TEST_ENTRY + "9.113.0.203.bl.example. 60 IN A 127.0.0.2") as own:
        blocklists.create(name="bl.example", ranges="127.0.0.2", resolver=own.address, actor=SYSTEM)
        ip_addresses.change(address.pk, public_ipv4="203.0.113.9", actor=SYSTEM)
        look(NOON)
        assert Listing.objects.get(address=address).listed == "203.0.113.9"
        assert own.questions()["9.113.0.203.bl.example", "A"] == 1
        assert ("1.2.0.192.bl.example", "A") not in own.questions()
    assert dns.questions() == {}


@pytest.mark.server
def test_an_address_that_changes_is_asked_about_at_once_and_begins_anew(dns: LocalDNS, bl, address):
    dns.load(TEST_ENTRY + LISTED + "7.2.0.192.bl.example. 60 IN A 127.0.0.2")
    look(NOON)
    with time_machine.travel(NOON + 61 * MINUTE):
        IPAddress.objects.filter(pk=address.pk).update(ipv4="192.0.2.7", sender_changed_at=NOON + 61 * MINUTE)
    look(NOON + 65 * MINUTE)
    row = Listing.objects.get(address=address)
    assert (row.listed, row.first_seen_at >= NOON + 65 * MINUTE) == ("192.0.2.7", True)


@pytest.mark.server
def test_another_definition_forgets_what_was_said(dns: LocalDNS, bl):
    dns.load(TEST_ENTRY + LISTED)
    look(NOON)
    blocklists.change(bl.pk, ranges="127.0.0.2-127.0.0.3", actor=SYSTEM)
    bl.refresh_from_db()
    assert (bl.zone_status, Listing.objects.count()) == (None, 0)
    blocklists.change(bl.pk, is_enabled=False, actor=SYSTEM)
    look(NOON + MINUTE)
    assert Listing.objects.count() == 0


def test_it_rejects_what_cannot_be_asked(bl):
    with pytest.raises(Invalid) as refused:
        blocklists.create(
            name="no zone", ranges="10.0.0.1", resolver="dns.example", interval=5, lists_ipv4=False, lists_ipv6=False,
            actor=ANN,
        )  # fmt: skip
    assert {fault.path for fault in refused.value.faults} == {"name", "ranges", "resolver", "interval", "lists_ipv4"}
    with pytest.raises(Invalid) as refused:
        blocklists.create(name="bl.EXAMPLE", actor=ANN)
    assert [(fault.path, fault.message) for fault in refused.value.faults] == [("name", "has already been taken")]
    with pytest.raises(NotFound):
        blocklists.delete(bl.pk + 1, actor=ANN)
    assert AuditEntry.objects.filter(target_type="ippools.blocklist").count() == 1


def test_addresses_without_a_pool_are_not_asked_about(bl):
    make_pool(make_tenant("Globex", server="Main").organization, "Other", "192.0.2.3")
    lone = IPAddress.objects.get(ipv4="192.0.2.3")
    lone.memberships.all().delete()
    assert blocklists.make_missing_rows() == 2
    assert blocklists.make_missing_rows() == 0
    assert not Listing.objects.filter(address=lone).exists()
