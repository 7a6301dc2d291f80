"""The acts on servers, credentials, pools and addresses while others do the same, with real threads and connections."""

from collections import Counter

import pytest
from django.utils import timezone

from core.audit import Actor
from core.errors import Conflict, InUse, Invalid, NotFound
from core.models import AuditEntry, User
from core.provided_roles import rules_of
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.access import InvalidKey, authenticate_key
from servers.credentials import delete_credential, rotate_credential
from servers.models import Credential, Organization, OrganizationPool, Server
from servers.pools import add_members, create_pool, delete_pool, grant_pool, withdraw_pool
from servers.provided_roles import follow
from servers.provisioning import (
    change_organization,
    change_server,
    create_organization,
    create_server,
    delete_server,
    restore_server,
)
from tests.cast import ANN, NOW, SYSTEM, make_pool, make_server, written_by
from tests.factories import IPAddressFactory, IPPoolFactory
from tests.races import at_once, in_the_open

pytestmark = in_the_open


def kinds(outcomes):
    """Count the outcomes: what was refused by the class of its refusal, the rest as `None`."""
    return Counter(type(each) if isinstance(each, Exception) else None for each in outcomes)


# --- servers ----------------------------------------------------------------------------------------------------------


def test_twelve_creates_of_one_name_make_one_server(acme):
    names = ["Straße", "STRASSE", "strasse"] * 4
    made = at_once(
        *[lambda name=name: create_server(organization=acme.organization, name=name, actor=ANN) for name in names]
    )
    assert kinds(made) == {None: 12}
    assert [each.already_exists for each in made].count(False) == 1
    assert len({each.server.pk for each in made}) == 1
    assert len({(each.api_credential.pk, each.smtp_credential.pk) for each in made}) == 1
    assert Server.objects.filter(name_key="strasse").count() == 1
    assert Credential.objects.filter(server__name_key="strasse").count() == 2
    assert Counter(act for act, _, _ in written_by(ANN)) == {"server.created": 1, "credential.created": 2}


def test_creates_at_once_share_the_pools_evenly(acme):
    ranked = [make_pool(acme.organization, name).pk for name in "ABC"]
    made = at_once(
        *[
            lambda name=f"Server {number}": create_server(
                organization=acme.organization, name=name, ranked_pool_ids=ranked, actor=SYSTEM
            )
            for number in range(12)
        ]
    )
    assert Counter(each.server.ip_pool_id for each in made) == dict.fromkeys(ranked, 4)
    assert sorted(OrganizationPool.objects.values_list("last_assigned_seq", flat=True)) == [10, 11, 12]


def test_names_with_one_permalink_get_permalinks_of_their_own(acme):
    names = ["Mail", "Mail!", "Mail?", "Mail.", "Mail-2", "mail 2"]
    made = at_once(
        *[lambda name=name: create_server(organization=acme.organization, name=name, actor=SYSTEM) for name in names]
    )
    assert kinds(made) == {None: 6}
    assert len({each.server.permalink for each in made}) == 6


def test_two_servers_renamed_to_one_name(acme):
    servers = [make_server(acme.organization, name).server for name in "AB"]
    outcomes = at_once(*[lambda each=each: change_server(server=each, actor=SYSTEM, name="One") for each in servers])
    assert kinds(outcomes) == {None: 1, Invalid: 1}
    assert Server.objects.filter(name_key="one").count() == 1


def test_a_server_is_deleted_once(acme):
    outcomes = at_once(*[lambda: delete_server(server=acme.server, at=NOW, actor=ANN)] * 4)
    assert kinds(outcomes) == {None: 1, NotFound: 3}
    assert [act for act, _, _ in written_by(ANN)] == ["server.deleted"]


def test_a_name_goes_to_the_restored_server_or_to_a_new_one(acme):
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    restored, made = at_once(
        lambda: restore_server(server=acme.server, at=NOW, actor=SYSTEM),
        lambda: create_server(organization=acme.organization, name=acme.server.name, actor=SYSTEM),
    )
    living = Server.objects.living().get()
    if isinstance(restored, Conflict):
        assert (made.already_exists, made.server) == (False, living)
    else:
        assert (restored, made.already_exists, made.server) == (living, True, living)


# --- organizations ----------------------------------------------------------------------------------------------------


def test_one_name_is_one_organizations(acme):
    outcomes = at_once(*[lambda: create_organization(at=timezone.now(), name="Initech", actor=ANN)] * 6)
    assert kinds(outcomes) == {None: 1, Invalid: 5}
    assert {str(each) for each in outcomes if isinstance(each, Invalid)} == {"name has already been taken"}
    assert [act for act, _, _ in written_by(ANN)] == ["organization.created"]


def test_organizations_with_one_slug_all_get_a_permalink():
    outcomes = at_once(
        *[
            lambda name=name: create_organization(at=timezone.now(), name=name, actor=SYSTEM)
            for name in ("A!", "A?", "A.")
        ]
    )
    assert kinds(outcomes) == {None: 3}
    assert sorted(Organization.objects.values_list("permalink", flat=True)) == ["a", "a-2", "a-3"]


def test_two_organizations_renamed_to_one_name(acme, globex):
    outcomes = at_once(
        *[
            lambda each=each: change_organization(
                at=timezone.now(), organization=each.organization, actor=SYSTEM, name="One"
            )
            for each in (acme, globex)
        ]
    )
    assert kinds(outcomes) == {None: 1, Invalid: 1}


# --- credentials ------------------------------------------------------------------------------------------------------


def test_of_rotations_at_once_the_last_key_works(acme):
    credential = acme.server.credentials.get(kind="api")
    rotated = at_once(*[lambda: rotate_credential(credential=credential, actor=ANN)] * 5)
    assert kinds(rotated) == {None: 5}
    assert len({each.key for each in rotated}) == 5
    working = []
    for key in (acme.key, *(each.key for each in rotated)):
        try:
            authenticate_key(key, at=NOW)
        except InvalidKey:
            continue
        working.append(key)
    assert len(working) == 1
    assert working[0] != acme.key
    # Each entry begins where the one before it ended.
    entries = list(AuditEntry.objects.filter(act="credential.rotated").order_by("pk"))
    assert [entry.before["key_prefix"] for entry in entries[1:]] == [
        entry.after["key_prefix"] for entry in entries[:-1]
    ]


def test_a_credential_is_rotated_or_deleted(acme):
    credential = acme.server.credentials.get(kind="api")
    rotated, deleted = at_once(
        lambda: rotate_credential(credential=credential, actor=SYSTEM),
        lambda: delete_credential(credential=credential, actor=SYSTEM),
    )
    assert deleted is None
    assert isinstance(rotated, NotFound) or not Credential.objects.filter(pk=credential.pk).exists()


# --- pools and addresses ----------------------------------------------------------------------------------------------


def test_two_pools_with_the_same_new_address(acme, globex):
    made = at_once(
        *[
            lambda tenant=tenant: create_pool(
                organization=tenant.organization, name="Main", ips=["192.0.2.1", "192.0.2.2"], actor=SYSTEM
            )
            for tenant in (acme, globex)
        ]
    )
    assert kinds(made) == {None: 2}
    assert IPAddress.objects.count() == 2
    # The first has both, the other is told that they are taken.
    assert sorted((len(each.addresses), each.warnings) for each in made) == [
        (0, ["192.0.2.1: Ipv4 has already been taken", "192.0.2.2: Ipv4 has already been taken"]),
        (2, []),
    ]


def test_two_pools_of_one_organization_share_the_address(acme):
    made = at_once(
        *[
            lambda name=name: create_pool(organization=acme.organization, name=name, ips=["192.0.2.1"], actor=SYSTEM)
            for name in "AB"
        ]
    )
    assert [(len(each.addresses), each.warnings) for each in made] == [(1, [])] * 2
    assert IPAddress.objects.get().memberships.count() == 2


def test_one_pool_name_is_taken_once(acme):
    outcomes = at_once(
        *[
            lambda name=name: create_pool(organization=acme.organization, name=name, ips=["192.0.2.1"], actor=SYSTEM)
            for name in ("Pool", "POOL", "pool")
        ]
    )
    assert kinds(outcomes) == {None: 1, Invalid: 2}
    assert IPPool.objects.count() == 1


def test_addresses_made_at_once_are_made_once():
    rows = [NewAddress(ipv4=f"192.0.2.{number}", hostname="mail.example") for number in range(20)]
    outcomes = at_once(lambda: create_many(rows, actor=SYSTEM), lambda: create_many(rows[::-1], actor=SYSTEM))
    assert kinds(outcomes) == {None: 1, Invalid: 1}
    assert IPAddress.objects.count() == 20


def test_a_pool_is_granted_once(acme):
    pool = IPPoolFactory()
    grants = at_once(*[lambda: grant_pool(organization=acme.organization, pool=pool, actor=ANN)] * 6)
    assert kinds(grants) == {None: 6}
    assert {each.pk for each in grants} == {OrganizationPool.objects.get().pk}
    assert [act for act, _, _ in written_by(ANN)] == ["organization_pool.granted"]


def test_a_member_is_added_once():
    pool, address = IPPoolFactory(), IPAddressFactory()
    outcomes = at_once(*[lambda: add_members(pool=pool, addresses=[address], actor=SYSTEM)] * 4)
    assert kinds(outcomes) == {None: 4}
    assert IPPoolMember.objects.count() == 1


def test_no_server_takes_a_pool_that_is_withdrawn(acme):
    pool = make_pool(acme.organization, "Main")
    changed, made, withdrawn = at_once(
        lambda: change_server(server=acme.server, actor=SYSTEM, ip_pool=pool),
        lambda: create_server(organization=acme.organization, name="New", pool=pool, actor=SYSTEM),
        lambda: withdraw_pool(organization=acme.organization, pool=pool, actor=SYSTEM),
    )
    is_granted = OrganizationPool.objects.exists()
    assert isinstance(withdrawn, Conflict) == is_granted
    assert Server.objects.filter(ip_pool=pool).exists() == is_granted
    assert isinstance(changed, Invalid) or is_granted
    assert isinstance(made, Invalid) or is_granted


def test_no_server_takes_a_pool_that_is_deleted(acme):
    pool = make_pool(acme.organization, "Main")
    changed, deleted = at_once(
        lambda: change_server(server=acme.server, actor=SYSTEM, ip_pool=pool),
        lambda: delete_pool(pool=pool, actor=SYSTEM),
    )
    if IPPool.objects.exists():
        assert (changed.ip_pool, type(deleted)) == (pool, InUse)
    else:
        assert (type(changed), deleted) == (Invalid, None)


@pytest.mark.parametrize("count", [2, 6])
def test_pools_overlapping_in_any_order_do_not_deadlock(acme, count):
    ips = [f"192.0.2.{number}" for number in range(30)]
    outcomes = at_once(
        *[
            lambda number=number: create_pool(
                organization=acme.organization,
                name=f"Pool {number}",
                ips=ips if number % 2 else ips[::-1],
                actor=Actor.system(),
            )
            for number in range(count)
        ]
    )
    assert kinds(outcomes) == {None: count}
    assert IPAddress.objects.count() == 30
    assert IPPoolMember.objects.count() == 30 * count


# --- people -----------------------------------------------------------------------------------------------------------


def test_of_superusers_who_all_lose_their_group_at_once_one_stays():
    rules = rules_of(["admins=superuser"])
    for _ in range(3):
        people = [User.objects.create_user(f"person-{User.objects.count()}", is_superuser=True) for _ in range(4)]
        acts = [lambda user=each: follow(user=user, rules=rules, groups=[], at=NOW, actor=SYSTEM) for each in people]
        assert kinds(at_once(*acts)) == {None: 4}
        assert User.objects.filter(is_superuser=True).count() == 1
        User.objects.update(is_superuser=False)
