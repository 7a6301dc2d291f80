"""servers.pools: which pools an organization has, and how they are made, granted and withdrawn."""

import pytest

from core.audit import snapshot
from core.errors import Conflict, Dependency, InUse, Invalid, NotFound
from ippools.models import IPAddress, IPPool
from servers.models import IPPoolRule, Organization, OrganizationPool
from servers.pools import (
    add_members,
    addresses_of,
    change_pool,
    create_platform_pool,
    create_pool,
    delete_pool,
    grant_pool,
    hostname_for,
    pools_of,
    remove_members,
    withdraw_pool,
)
from servers.provisioning import change_server, delete_server
from tests.cast import ANN, NOW, SYSTEM, last_entry, make_pool, written_by
from tests.factories import IPAddressFactory, IPPoolFactory, IPPoolMemberFactory

pytestmark = pytest.mark.django_db


def made_by(tenant, *ips, name="Main"):
    return create_pool(organization=tenant.organization, name=name, ips=ips, actor=ANN)


@pytest.mark.storage
def test_it_works(acme, globex):
    made = made_by(acme, "192.0.2.2", " 192.0.2.1 ")
    pool = IPPool.objects.get(pk=made.pool.pk)
    assert (pool.name, pool.namespace, pool.is_default) == ("Main", acme.organization.uuid, False)
    assert list(pools_of(acme.organization)) == [pool]
    assert list(pools_of(globex.organization)) == []
    assert [(each.ipv4, each.hostname, each.priority, each.name) for each in made.addresses] == [
        ("192.0.2.2", "192-0-2-2.acme.postal", 100, "ip-192.0.2.2"),
        ("192.0.2.1", "192-0-2-1.acme.postal", 100, "ip-192.0.2.1"),
    ]
    assert list(pool.addresses.order_by("pk")) == list(addresses_of(acme.organization)) == made.addresses
    assert made.warnings == []
    whose = acme.organization.pk
    assert written_by(ANN) == [
        ("ip_pool.created", "Main", whose),
        ("organization_pool.granted", f"{pool} for {acme.organization}", whose),
        ("ip_address.created", "192.0.2.2", whose),
        ("ip_address.created", "192.0.2.1", whose),
        ("ip_pool.members_added", "Main", whose),
    ]
    document = snapshot(pool)
    entry = last_entry()
    assert (entry.before, entry.after) == (document, document | {"ipv4": ["192.0.2.2", "192.0.2.1"]})


def test_an_address_that_is_the_organizations_is_used_again(acme):
    own = made_by(acme, "192.0.2.1").addresses[0]
    shared = IPPoolMemberFactory(ip_address=IPAddressFactory(ipv4="192.0.2.2"))
    grant_pool(organization=acme.organization, pool=shared.pool, actor=SYSTEM)
    free = IPAddressFactory(ipv4="192.0.2.3", hostname="kept.example")
    made = made_by(acme, "192.0.2.3", "192.0.2.1", "192.0.2.2", name="Second")
    assert (made.addresses, made.warnings) == ([free, own, shared.ip_address], [])
    assert made.addresses[0].hostname == "kept.example"
    assert IPAddress.objects.count() == 3


def test_an_address_of_others_is_taken(acme, globex):
    made_by(globex, "198.51.100.1")
    IPPoolMemberFactory(ip_address=IPAddressFactory(ipv4="198.51.100.2"))
    both = made_by(acme, "192.0.2.1").addresses[0]
    IPPoolMemberFactory(pool=IPPool.objects.get(namespace=globex.organization.uuid), ip_address=both)
    made = made_by(acme, "198.51.100.1", "198.51.100.2", "192.0.2.1", name="Second")
    assert made.warnings == [
        "198.51.100.1: Ipv4 has already been taken",
        "198.51.100.2: Ipv4 has already been taken",
    ]
    # In others' pools too, but not only.
    assert made.addresses == [both]


@pytest.mark.storage
def test_what_is_no_address_is_warned_of(acme):
    made = made_by(acme, "999.1.1.1", "", "\x00", "\ud800", None, 5, True, ["1.1.1.1"], {"a": 1}, "192.0.2.01", "::1")  # noqa: FBT003 - a hostile value
    invalid = ["999.1.1.1", "", "\x00", "\ud800", "None", "5", "True", "['1.1.1.1']", "{'a': 1}", "192.0.2.01", "::1"]
    assert made.warnings == [f"{text}: Ipv4 is not a valid IPv4 address" for text in invalid]
    assert made.addresses == []
    # The pool is made all the same.
    assert list(pools_of(acme.organization)) == [made.pool]
    assert [act for act, _, _ in written_by(ANN)] == ["ip_pool.created", "organization_pool.granted"]


def test_a_repeated_address_counts_once(acme):
    made = made_by(acme, "192.0.2.1", "192.0.2.1 ", "x", "x")
    assert [each.ipv4 for each in made.addresses] == ["192.0.2.1"]
    assert made.warnings == ["x: Ipv4 is not a valid IPv4 address"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name is required"),
        ("\u2003", "name is required"),
        ("a\x00", "name must not contain control characters"),
        ("x" * 201, "name is too long (maximum is 200 characters)"),
        ("STRASSE", "name has already been taken"),
    ],
)
def test_it_rejects(acme, name, message):
    make_pool(acme.organization, "Straße")
    with pytest.raises(Invalid) as refusal:
        made_by(acme, "192.0.2.1", name=name)
    assert refusal.value.message == message
    assert (IPPool.objects.count(), IPAddress.objects.count()) == (1, 0)
    assert written_by(ANN) == []


def test_names_are_of_their_own_organization(acme, globex):
    IPPoolFactory(name="Main")
    made_by(globex, name="Main")
    assert made_by(acme, name="Main").pool.name == "Main"


@pytest.mark.storage
def test_a_pool_is_granted_once(acme):
    pool = IPPoolFactory(name="Shared")
    first = grant_pool(organization=acme.organization, pool=pool, actor=ANN)
    assert grant_pool(organization=acme.organization, pool=pool, actor=ANN) == first
    assert list(pools_of(acme.organization)) == [pool]
    whose = acme.organization.pk
    assert written_by(ANN) == [("organization_pool.granted", f"{pool} for {acme.organization}", whose)]
    assert last_entry().after == snapshot(first)


def test_a_pool_is_withdrawn(acme, globex):
    pool = IPPoolFactory()
    grants = [
        grant_pool(organization=tenant.organization, pool=pool, actor=SYSTEM) for tenant in (acme, globex)
    ]  # fmt: skip
    withdraw_pool(organization=acme.organization, pool=pool, actor=ANN)
    assert list(OrganizationPool.objects.all()) == grants[1:]
    assert [act for act, _, _ in written_by(ANN)] == ["organization_pool.withdrawn"]
    assert (last_entry().before["id"], last_entry().after) == (grants[0].pk, None)
    # Again changes nothing.
    withdraw_pool(organization=acme.organization, pool=pool, actor=ANN)
    assert len(written_by(ANN)) == 1
    with pytest.raises(NotFound):
        withdraw_pool(organization=Organization(pk=10**12), pool=pool, actor=ANN)


@pytest.mark.parametrize("owner", ["server", "organization"])
def test_a_pool_that_mail_leaves_by_is_not_withdrawn(acme, owner):
    pool = make_pool(acme.organization, "Main")
    change_server(server=acme.server, actor=SYSTEM, ip_pool=pool)
    with pytest.raises(Conflict, match="Servers of the organization send by this pool"):
        withdraw_pool(organization=acme.organization, pool=pool, actor=ANN)
    change_server(server=acme.server, actor=SYSTEM, ip_pool=None)
    IPPoolRule.objects.create(pool=pool, from_conditions="example.com", **{owner: getattr(acme, owner)})
    with pytest.raises(Conflict, match="Rules of the organization send by this pool"):
        withdraw_pool(organization=acme.organization, pool=pool, actor=ANN)
    assert list(pools_of(acme.organization)) == [pool]
    assert written_by(ANN) == []


def test_a_deleted_servers_pool_can_be_withdrawn(acme):
    pool = make_pool(acme.organization, "Main")
    change_server(server=acme.server, actor=SYSTEM, ip_pool=pool)
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    withdraw_pool(organization=acme.organization, pool=pool, actor=ANN)
    assert list(pools_of(acme.organization)) == []


def test_members_are_added_once(acme):
    pool = make_pool(acme.organization, "Main", "192.0.2.1")
    present, fresh = pool.addresses.get(), IPAddressFactory(ipv4="192.0.2.2")
    assert add_members(pool=pool, addresses=[present, fresh], actor=ANN, organization_id=5) == 1
    assert add_members(pool=pool, addresses=[present, fresh], actor=ANN, organization_id=5) == 0
    assert set(pool.addresses.all()) == {present, fresh}
    assert written_by(ANN) == [("ip_pool.members_added", "Main", 5)]
    assert last_entry().after == snapshot(pool) | {"ipv4": ["192.0.2.2"]}


def test_host_names_end_as_the_installation_says(acme, settings):
    settings.SLUICE_HOSTNAME_SUFFIX = "mx.example"
    assert hostname_for("1.1.1.1", acme.organization) == "1-1-1-1.acme.mx.example"


def test_a_deleted_pools_addresses_stay(acme):
    made = made_by(acme, "192.0.2.1")
    before = snapshot(IPPool.objects.get(pk=made.pool.pk))
    # A server that was deleted is in nobody's way.
    change_server(server=acme.server, actor=SYSTEM, ip_pool=made.pool)
    IPPoolRule.objects.create(server=acme.server, pool=made.pool, from_conditions="example.com")
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)

    delete_pool(pool=made.pool, actor=ANN)
    assert not IPPool.objects.exists()
    assert list(IPAddress.objects.all()) == made.addresses
    assert written_by(ANN)[-1] == ("ip_pool.deleted", "Main", acme.organization.pk)
    assert (last_entry().before, last_entry().after) == (before, None)
    acme.server.refresh_from_db()
    assert acme.server.ip_pool is None
    with pytest.raises(NotFound, match="pool could not be found"):
        delete_pool(pool=made.pool, actor=ANN)


def test_a_pool_in_use_is_not_deleted(acme, globex):
    pool = make_pool(acme.organization, "Main")
    change_server(server=acme.server, actor=SYSTEM, ip_pool=pool)
    rule = IPPoolRule.objects.create(organization=acme.organization, pool=pool, to_conditions="example.com")
    with pytest.raises(InUse) as refusal:
        delete_pool(pool=pool, actor=ANN)
    assert refusal.value.dependencies == (
        Dependency("server", acme.server.pk, acme.server.name),
        Dependency("pool rule", rule.pk, "to example.com"),
    )
    rule.delete()
    change_server(server=acme.server, actor=SYSTEM, ip_pool=None)
    grant_pool(organization=globex.organization, pool=pool, actor=SYSTEM)
    with pytest.raises(Conflict, match="withdraw the grants first"):
        delete_pool(pool=pool, actor=ANN)
    assert written_by(ANN) == []


def test_the_new_default_takes_the_old_ones_place(acme):
    first = create_platform_pool(name="First", is_default=True, actor=ANN)
    second = create_platform_pool(name="Second", actor=ANN)
    own = make_pool(acme.organization, "Own")
    change_pool(pool=own, actor=ANN, is_default=True)
    change_pool(pool=second, actor=ANN, name=" Zweiter ", is_default=True)
    assert list(IPPool.objects.order_by("pk").values_list("name", "is_default")) == [
        ("First", False),
        ("Zweiter", True),
        ("Own", True),
    ]
    changes = [("ip_pool.changed", name) for name in ("Own", "First", "Zweiter")]
    assert [(act, label) for act, label, _ in written_by(ANN)][2:] == changes
    with pytest.raises(Invalid, match="name has already been taken"):
        change_pool(pool=second, actor=ANN, name="FIRST")
    with pytest.raises(Invalid, match="name has already been taken"):
        create_platform_pool(name="first", actor=ANN)
    assert first.namespace is None


def test_removed_members_stay_as_addresses(acme):
    made = made_by(acme, "192.0.2.1", "192.0.2.2")
    assert remove_members(pool=made.pool, addresses=made.addresses[:1], actor=ANN) == 1
    assert remove_members(pool=made.pool, addresses=made.addresses[:1], actor=ANN) == 0
    assert list(made.pool.addresses.all()) == made.addresses[1:]
    assert IPAddress.objects.count() == 2
    assert written_by(ANN)[-1] == ("ip_pool.members_removed", "Main", acme.organization.pk)
    document = snapshot(made.pool)
    assert (last_entry().before, last_entry().after) == (document | {"ipv4": ["192.0.2.1"]}, document)
