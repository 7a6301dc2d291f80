"""What the world sees of an address, and what it cannot."""

import pytest
from django.utils import timezone

from core.audit import Actor
from core.errors import Invalid
from core.models import AuditEntry
from dnschecks.resolver import Resolver
from ippools import ip_addresses
from ippools.addresses import NewAddress, create_one
from ippools.identity import CHECKS, Identity, IdentityChecks, check_address, check_due_addresses, examine
from ippools.models import AddressIdentity, IPAddress
from ippools.public_addresses import hidden, is_public, public_faults, seen
from tests.dns_server import LocalDNS

pytestmark = [pytest.mark.server, pytest.mark.storage]
ACTOR = Actor.system()


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "2606:4700::1111"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5", "172.16.3.4", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0", "0.1.2.3", "169.254.1.1",
        "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "198.18.0.1", "::", "::1", "fe80::1", "fd00::1", "ff02::1",
        "ff0e::1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:808:808::1", "2001::1", "2001:2::1", "5f00::1", "fec0::1",
        "4000::1", "100::1", "::8.8.8.8", "::ffff:10.0.0.1", "192.88.99.1",
    ],
)  # fmt: skip
def test_addresses_that_nobody_outside_sees(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("columns", "are_seen", "are_hidden"),
    [
        (("192.0.2.1", None, None, None), ("192.0.2.1",), ()),
        (("192.0.2.1", "2001:db8::1", None, None), ("192.0.2.1", "2001:db8::1"), ()),
        (("10.0.0.5", None, "192.0.2.1", None), ("192.0.2.1",), ()),
        (("10.0.0.5", None, None, None), (), ("10.0.0.5",)),
        (("10.0.0.5", "fd00::1", "192.0.2.1", None), ("192.0.2.1",), ("fd00::1",)),
        (("192.0.2.1", "fd00::1", None, "2001:db8::1"), ("192.0.2.1", "2001:db8::1"), ()),
        # What is bound may be public and still be translated.
        (("192.0.2.1", None, "198.51.100.7", None), ("198.51.100.7",), ()),
        # Seen by a public IPv6 address although none is bound (NAT64).
        (("10.0.0.5", None, None, "2001:db8::1"), ("2001:db8::1",), ("10.0.0.5",)),
    ],
)
def test_what_is_seen_of_an_address(
    columns: tuple[str, str | None, str | None, str | None], are_seen: tuple[str, ...], are_hidden: tuple[str, ...]
) -> None:
    assert (seen(*columns), hidden(*columns)) == (are_seen, are_hidden)


@pytest.mark.parametrize(
    ("text", "version", "faults"),
    [
        ("198.51.100.7", 4, []),
        ("2001:DB8::0007", 6, []),
        ("10.0.0.5", 4, ["is not a public address: receivers cannot see it"]),
        ("010.1.1.1", 4, ["is not a valid IPv4 address"]),
        ("2001:db8::1", 4, ["is not a valid IPv4 address"]),
        ("1.1.1.1", 6, ["is not a valid IPv6 address"]),
        ("::ffff:1.1.1.1", 6, ["is not a valid IPv6 address"]),
        ("fe80::1%eth0", 6, ["is not a public address: receivers cannot see it"]),
    ],
)
def test_what_may_be_given_as_public(text: str, version: int, faults: list[str]) -> None:
    assert public_faults(text, version=version) == faults


def test_an_address_is_made_with_what_the_world_sees(db: None) -> None:
    row = NewAddress(ipv4="10.0.0.5", hostname="a.example", public_ipv4="198.51.100.7", public_ipv6="2001:DB8::07")
    address = IPAddress.objects.get(pk=create_one(row, actor=ACTOR).pk)
    assert (address.ipv4, address.public_ipv4, address.public_ipv6) == ("10.0.0.5", "198.51.100.7", "2001:db8::7")
    # Several behind one NAT are seen as one.
    create_one(NewAddress(ipv4="10.0.0.6", hostname="b.example", public_ipv4="198.51.100.7"), actor=ACTOR)


def test_it_rejects_a_public_address_that_is_not(db: None) -> None:
    with pytest.raises(Invalid) as refusal:
        create_one(NewAddress(ipv4="10.0.0.5", hostname="a.example", public_ipv4="10.0.0.9"), actor=ACTOR)
    assert [str(each) for each in refusal.value.faults] == [
        "public_ipv4 is not a public address: receivers cannot see it"
    ]


def test_it_is_changed_and_its_dns_is_looked_at_again(db: None) -> None:
    address = create_one(NewAddress(ipv4="10.0.0.5", hostname="a.example"), actor=ACTOR)
    changed = ip_addresses.change(address.pk, actor=ACTOR, public_ipv4="198.51.100.7", public_ipv6="2001:DB8::07")
    assert (changed.public_ipv4, changed.public_ipv6) == ("198.51.100.7", "2001:db8::7")
    changed.refresh_from_db()
    assert changed.sender_changed_at is not None
    entry = AuditEntry.objects.filter(act="ip_address.changed").get()
    assert (entry.before["public_ipv4"], entry.after["public_ipv4"]) == (None, "198.51.100.7")
    back = ip_addresses.change(address.pk, actor=ACTOR, **ip_addresses.fields_of(entry.before))
    assert (back.public_ipv4, back.public_ipv6) == (None, None)


@pytest.mark.parametrize("field", ["public_ipv4", "public_ipv6"])
def test_a_change_rejects_what_is_not_public(db: None, field: str) -> None:
    address = create_one(NewAddress(ipv4="10.0.0.5", hostname="a.example"), actor=ACTOR)
    with pytest.raises(Invalid) as refusal:
        ip_addresses.change(address.pk, actor=ACTOR, **{field: "fe80::1" if field.endswith("6") else "127.0.0.1"})
    assert [str(each) for each in refusal.value.faults] == [f"{field} is not a public address: receivers cannot see it"]


# --- Its identity ----------------------------------------------------------------------------------------------------


def test_the_identity_is_that_of_the_public_address(dns: LocalDNS, db: None) -> None:
    dns.load("7.100.51.198.in-addr.arpa. 60 IN PTR a.example.\na.example. 60 IN A 198.51.100.7")
    row = NewAddress(ipv4="10.0.0.5", hostname="a.example", public_ipv4="198.51.100.7")
    address = create_one(row, actor=ACTOR)
    found = check_address(address, asked_by="operator")
    assert {getattr(found, f"{check}_status") for check in CHECKS} == {"ok"}
    assert not any("10.in-addr" in name for name, _ in dns.questions())


def test_what_nobody_sees_is_not_asked_about(dns: LocalDNS, db: None) -> None:
    address = create_one(NewAddress(ipv4="10.0.0.5", hostname="a.example"), actor=ACTOR)
    found = check_address(address, asked_by="operator")
    assert {(getattr(found, f"{check}_status"), getattr(found, f"{check}_error")) for check in CHECKS} == {
        (None, "10.0.0.5: not a public address, so DNS is not queried. Enter the public address that receivers see.")
    }
    assert dns.questions() == {}
    # It is no failure of the resolver: it is looked at again within hours, not within minutes.
    assert found.dns_failures == 0
    assert (found.dns_next_check_at - found.dns_checked_at).total_seconds() > 2_400


def test_a_status_from_before_is_gone_with_the_question(dns: LocalDNS, db: None) -> None:
    address = create_one(NewAddress(ipv4="10.0.0.5", hostname="a.example"), actor=ACTOR)
    AddressIdentity.objects.create(ip_address=address, ptr_status="missing", names=["old.example"])
    assert check_due_addresses(at=timezone.now(), seconds=5).failed == 0
    found = AddressIdentity.objects.get()
    assert (found.ptr_status, found.names) == (None, [])


def test_one_family_that_nobody_sees_does_not_hide_the_other(dns: LocalDNS) -> None:
    dns.load("1.2.0.192.in-addr.arpa. 60 IN PTR a.example.\na.example. 60 IN A 192.0.2.1")
    findings = examine(Identity(("192.0.2.1",), "a.example", ("fd00::1",)), Resolver())
    assert {each.status for each in findings.values()} == {"ok"}


def test_what_is_known_of_many_takes_one_query(db: None, django_assert_num_queries) -> None:
    ids = [create_one(NewAddress(ipv4=f"10.0.0.{n}", hostname="a.example"), actor=ACTOR).pk for n in range(1, 4)]
    with django_assert_num_queries(1):
        plans = IdentityChecks().plans(ids)
    assert [plans[pk].hidden for pk in ids] == [("10.0.0.1",), ("10.0.0.2",), ("10.0.0.3",)]
