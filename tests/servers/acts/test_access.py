"""servers.access: whose key this is, and what people may see and change."""

import datetime

import pytest
from django.contrib.auth.models import AnonymousUser, Permission

from core import keys
from core.audit import Actor
from servers import access
from servers.models import Credential, Membership, Organization
from servers.pools import grant_pool
from servers.provisioning import delete_server
from tests.cast import NOW, SYSTEM, make_pool
from tests.factories import IPAddressFactory, IPPoolFactory, IPPoolMemberFactory, UserFactory

pytestmark = pytest.mark.django_db
SECOND = datetime.timedelta(seconds=1)


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.storage
def test_one_query_tells_who_calls(acme, django_assert_num_queries):
    credential = acme.server.credentials.get(kind="api")
    with django_assert_num_queries(1):
        caller = access.authenticate_key(acme.key, at=NOW)
    assert caller == access.Caller(
        credential_id=credential.pk,
        credential_name="Default API key",
        last_used_at=None,
        can_manage_organization=True,
        server_id=acme.server.pk,
        server_uuid=acme.server.uuid,
        server_name="Transactional Server",
        server_permalink="transactional-server",
        organization_id=acme.organization.pk,
        organization_uuid=acme.organization.uuid,
        organization_permalink="acme",
    )
    assert caller.actor == Actor("credential", credential.pk, "acme/transactional-server: Default API key")


@pytest.mark.storage
@pytest.mark.parametrize("key", ["", "wrong", "\x00", "\ud800", "x" * 100_000, "acme", "é", "key_digest"])
def test_it_rejects_a_wrong_key(acme, key):
    with pytest.raises(access.InvalidKey):
        access.authenticate_key(key, at=NOW)


def test_it_rejects_part_of_a_key(acme):
    for key in (acme.key[:-1], acme.key + "x", acme.key.swapcase(), acme.key[:6]):
        with pytest.raises(access.InvalidKey):
            access.authenticate_key(key, at=NOW)


def test_it_rejects_an_expired_key(acme):
    Credential.objects.filter(server=acme.server).update(expires_at=NOW)
    assert access.authenticate_key(acme.key, at=NOW - SECOND).server_id == acme.server.pk
    with pytest.raises(access.InvalidKey):
        access.authenticate_key(acme.key, at=NOW)
    assert not Credential.objects.usable(NOW).filter(server=acme.server).exists()


def test_a_held_key_of_a_suspended_server_is_just_wrong(suspended):
    Credential.objects.filter(server=suspended.server).update(held_at=NOW)
    with pytest.raises(access.InvalidKey):
        access.authenticate_key(suspended.key, at=NOW)


@pytest.mark.storage
def test_use_is_noted_at_most_once_a_minute(acme, globex, django_assert_num_queries):
    caller = access.authenticate_key(acme.key, at=NOW)

    def used():
        return Credential.objects.get(pk=caller.credential_id).last_used_at

    keys.touch_last_used(caller, at=NOW)
    assert used() == NOW
    # What another request wrote meanwhile is known to the database alone.
    keys.touch_last_used(caller, at=NOW + 59 * SECOND)
    assert used() == NOW
    keys.touch_last_used(caller, at=NOW + 60 * SECOND)
    assert used() == NOW + 60 * SECOND
    caller = access.authenticate_key(acme.key, at=NOW)
    with django_assert_num_queries(0):
        keys.touch_last_used(caller, at=NOW + 119 * SECOND)
    assert Credential.objects.filter(last_used_at=None).count() == 3


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene(acme, globex):
    """Each has a pool of its own; one of the platform's is acme's too, and one is nobody's."""
    make_pool(acme.organization, "Acme's", "192.0.2.1")
    make_pool(globex.organization, "Globex's", "198.51.100.1")
    shared = IPPoolFactory(name="Shared")
    IPPoolMemberFactory(pool=shared, ip_address=IPAddressFactory(ipv4="203.0.113.1"))
    grant_pool(organization=acme.organization, pool=shared, actor=SYSTEM)
    IPPoolMemberFactory(pool=IPPoolFactory(name="Nobody's"), ip_address=IPAddressFactory(ipv4="203.0.113.2"))
    IPAddressFactory(ipv4="203.0.113.3")
    delete_server(server=globex.server, at=NOW, actor=SYSTEM)


ALL = {
    "organizations": {"ACME Inc", "Globex"},
    "servers": {"Transactional Server", "Globex Server"},
    "pools": {"Acme's", "Globex's", "Shared", "Nobody's"},
    "addresses": {"192.0.2.1", "198.51.100.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"},
}
ACMES = {
    "organizations": {"ACME Inc"},
    "servers": {"Transactional Server"},
    "pools": {"Acme's", "Shared"},
    "addresses": {"192.0.2.1", "203.0.113.1"},
}
NOTHING = {"organizations": set(), "servers": set(), "pools": set(), "addresses": set()}


def seen_by(user):
    views = {
        "organizations": access.organizations_of(user).values_list("name", flat=True),
        "servers": access.servers_of(user).values_list("name", flat=True),
        "pools": access.pools_seen_by(user).values_list("name", flat=True),
        "addresses": access.addresses_seen_by(user).values_list("ipv4", flat=True),
    }
    for rows in views.values():
        assert len(rows) == len(set(rows))
    return {name: set(rows) for name, rows in views.items()}


def member(tenant, role, **columns):
    user = UserFactory(**columns)
    Membership.objects.create(user=user, organization=tenant.organization, role=role)
    return user


def with_platform(**columns):
    user = UserFactory(**columns)
    user.user_permissions.add(Permission.objects.get(codename="platform", content_type__app_label="core"))
    return user


@pytest.mark.storage
@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_members_see_what_is_their_organizations(acme, role):
    assert seen_by(member(acme, role)) == ACMES


@pytest.mark.usefixtures("scene")
def test_a_member_of_two_sees_both(acme, globex):
    user = member(acme, "analyst")
    Membership.objects.create(user=user, organization=globex.organization, role="owner")
    seen = seen_by(user)
    assert seen["organizations"] == ALL["organizations"]
    assert seen["servers"] == ALL["servers"]
    assert seen["pools"] == {"Acme's", "Shared", "Globex's"}


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: UserFactory(is_superuser=True), ALL),
        (with_platform, ALL),
        (lambda: with_platform(is_staff=False), NOTHING),
        (lambda: with_platform(is_active=False), NOTHING),
        (lambda: UserFactory(is_superuser=True, is_active=False), NOTHING),
        (UserFactory, NOTHING),
        (AnonymousUser, NOTHING),
    ],
    ids=[
        "superuser",
        "platform",
        "platform, no staff",
        "platform, inactive",
        "inactive superuser",
        "nobody",
        "anonymous",
    ],
)
def test_the_platforms_people_see_all_and_others_nothing(make, expected):
    assert seen_by(make()) == expected


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("columns", [{"is_active": False}, {"is_staff": False}], ids=str)
def test_members_who_may_not_sign_in_see_nothing(acme, columns):
    user = member(acme, "owner", **columns)
    assert seen_by(user) == NOTHING
    assert not access.organizations_changed_by(user).exists()
    assert not access.organizations_owned_by(user).exists()


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize(
    ("role", "changes", "owns"), [("owner", True, True), ("operator", True, False), ("analyst", False, False)]
)
def test_a_role_is_of_its_own_organization(acme, globex, role, changes, owns):
    user = member(acme, role)
    # What one is elsewhere is of no help.
    Membership.objects.create(
        user=user, organization=globex.organization, role="analyst" if role == "owner" else "owner"
    )
    changed, owned = set(access.organizations_changed_by(user)), set(access.organizations_owned_by(user))
    assert (acme.organization in changed, acme.organization in owned) == (changes, owns)
    assert (globex.organization in changed, globex.organization in owned) == (role != "owner", role != "owner")


def test_the_platforms_people_change_and_own_all(acme, globex):
    for user in (UserFactory(is_superuser=True), with_platform()):
        everyone = set(Organization.objects.all())
        assert set(access.organizations_changed_by(user)) == set(access.organizations_owned_by(user)) == everyone


@pytest.mark.usefixtures("scene")
def test_what_is_seen_is_one_query(acme, django_assert_num_queries):
    user = member(acme, "analyst")
    # Django keeps a user's permissions after the first question.
    user.get_all_permissions()
    for seen in (access.organizations_of, access.servers_of, access.pools_seen_by, access.addresses_seen_by):
        with django_assert_num_queries(1):
            assert list(seen(user))
