"""servers.provisioning: changing, suspending, resuming, deleting and restoring servers."""

import datetime

import pytest
from django.contrib.auth.models import Permission

from core.audit import Actor, snapshot
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import AuditEntry, User
from servers.access import InvalidKey, ServerSuspended, authenticate_key
from servers.models import IPPoolRule, Server
from servers.pools import withdraw_pool
from servers.provisioning import (
    change_server,
    create_server,
    delete_server,
    restore_server,
    resume_organization,
    resume_server,
    suspend_organization,
    suspend_server,
)
from tests.cast import ANN, NOW, SYSTEM, last_entry, make_pool, make_server, written_by
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
HOUR = datetime.timedelta(hours=1)


# --- change -----------------------------------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_change_names_only_what_changes(acme):
    before = snapshot(acme.server)
    pool = make_pool(acme.organization, "Main")
    # The id is all that callers must know.
    changed = change_server(
        server=Server(pk=acme.server.pk), actor=ANN, name="Mail", mode="development", ip_pool=pool, privacy_mode=True,
        send_limit=0,
    )  # fmt: skip
    expected = before | {
        "name": "Mail", "mode": "development", "ip_pool_id": pool.pk, "privacy_mode": True, "send_limit": 0,
    }  # fmt: skip
    # The permalink stays: SMTP users are made of it.
    assert snapshot(changed) == snapshot(Server.objects.get(pk=acme.server.pk)) == expected
    assert written_by(ANN) == [("server.changed", "Mail", acme.organization.pk)]
    assert (last_entry().before, last_entry().after) == (before, expected)

    assert change_server(server=acme.server, actor=ANN, ip_pool=None, send_limit=None).ip_pool is None


def test_a_server_keeps_a_pool_that_it_has(acme):
    pool = make_pool(acme.organization, "Main")
    Server.objects.filter(pk=acme.server.pk).update(ip_pool=pool)
    pool.organization_pools.all().delete()
    assert change_server(server=acme.server, actor=ANN, ip_pool=pool).ip_pool == pool


def test_its_own_name_is_not_taken(acme, globex):
    assert change_server(server=acme.server, actor=ANN, name=acme.server.name.upper()).name == acme.server.name.upper()
    assert change_server(server=acme.server, actor=ANN, name=globex.server.name).name == globex.server.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "name is required"),
        ({"name": "\x00"}, "name must not contain control characters"),
        ({"name": "OTHER"}, "name has already been taken"),
        ({"mode": "Live"}, "mode must be live or development"),
        ({"send_limit": -1}, "send_limit must be from 0 to 2147483647"),
        ({"send_limit": 2**31}, "send_limit must be from 0 to 2147483647"),
    ],
    ids=str,
)
def test_it_rejects_a_change(acme, change, message):
    make_server(acme.organization, "Other")
    before = snapshot(Server.objects.get(pk=acme.server.pk))
    with pytest.raises(Invalid) as refusal:
        change_server(server=acme.server, actor=ANN, **change)
    assert refusal.value.message == message
    assert snapshot(Server.objects.get(pk=acme.server.pk)) == before
    assert written_by(ANN) == []


def test_it_rejects_another_organizations_pool(acme, globex):
    with pytest.raises(Invalid, match=r"^ip_pool is not a pool of this organization$"):
        change_server(server=acme.server, actor=ANN, ip_pool=make_pool(globex.organization, "Theirs"))


def test_the_organization_of_a_server_never_changes(acme, globex):
    with pytest.raises(TypeError, match="organization cannot be changed"):
        change_server(server=acme.server, actor=ANN, organization=globex.organization)


# --- suspend, resume --------------------------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_suspended_servers_key_stops_and_works_again(acme):
    suspended = suspend_server(server=acme.server, reason=" Spam ", at=NOW, actor=ANN)
    assert (suspended.suspended_at, suspended.suspended_until, suspended.suspension_reason) == (NOW, None, "Spam")
    assert list(Server.objects.suspended(NOW)) == [acme.server]
    with pytest.raises(ServerSuspended):
        authenticate_key(acme.key, at=NOW + 1_000 * HOUR)

    resumed = resume_server(server=acme.server, actor=ANN)
    assert (resumed.suspended_at, resumed.suspended_until, resumed.suspension_reason) == (None, None, "")
    assert list(Server.objects.suspended(NOW)) == []
    assert authenticate_key(acme.key, at=NOW).server_id == acme.server.pk
    assert [act for act, _, _ in written_by(ANN)] == ["server.suspended", "server.resumed"]


@pytest.mark.storage
def test_what_the_platform_suspended_only_the_platform_resumes(acme):
    """The people of an organization may suspend and resume their servers, and not end what was done to them."""
    owner, staff = (Actor.of_user(UserFactory(is_staff=True)) for _ in range(2))
    User.objects.get(pk=staff.id).user_permissions.add(Permission.objects.get(codename="platform"))
    server = acme.server
    suspend_server(server=server, reason="Full list", at=NOW, actor=owner)
    assert not resume_server(server=server, actor=owner).suspended_by_platform
    for platform in (staff, Actor.system(), Actor.of_command("x")):
        assert suspend_server(server=server, reason="Complaints", at=NOW, actor=platform).suspended_by_platform
        before = AuditEntry.objects.count()
        for act in (
            lambda: resume_server(server=server, actor=owner),
            lambda: suspend_server(server=server, reason="Soon over", at=NOW, until=NOW + HOUR, actor=owner),
            lambda: resume_server(server=server, actor=Actor.of_credential(1, "a key")),
        ):
            with pytest.raises(NotAllowed, match="The platform suspended this server"):
                act()
        server.refresh_from_db()
        assert (server.suspension_reason, server.suspended_until, AuditEntry.objects.count()) == (
            "Complaints", None, before,
        )  # fmt: skip
        resumed = resume_server(server=server, actor=staff)
        assert (resumed.suspended_at, resumed.suspended_by_platform) == (None, False)


@pytest.mark.storage
def test_a_suspension_ends_by_itself(acme):
    suspended = suspend_server(server=acme.server, reason="", at=NOW, until=NOW + HOUR, actor=ANN)
    just_before = NOW + HOUR - datetime.timedelta(microseconds=1)
    assert suspended.is_suspended(just_before) is True
    assert list(Server.objects.suspended(just_before)) == [acme.server]
    with pytest.raises(ServerSuspended):
        authenticate_key(acme.key, at=just_before)

    assert suspended.is_suspended(NOW + HOUR) is False
    assert list(Server.objects.suspended(NOW + HOUR)) == []
    assert authenticate_key(acme.key, at=NOW + HOUR).server_id == acme.server.pk


def test_a_clock_that_is_behind_does_not_let_a_suspended_server_in(acme):
    suspended = suspend_server(server=acme.server, reason="", at=NOW, actor=ANN)
    earlier = NOW - datetime.timedelta(seconds=5)
    assert suspended.is_suspended(earlier) is True
    assert list(Server.objects.suspended(earlier)) == [acme.server]
    with pytest.raises(ServerSuspended):
        authenticate_key(acme.key, at=earlier)


@pytest.mark.parametrize("until", [NOW, NOW - HOUR])
def test_it_rejects_an_end_that_is_over(acme, until):
    with pytest.raises(Invalid, match=r"^until must be in the future$"):
        suspend_server(server=acme.server, reason="", at=NOW, until=until, actor=ANN)


@pytest.mark.parametrize("reason", ["\x00", "\ud800", "x" * 501])
def test_it_rejects_a_reason_that_cannot_be_stored(acme, reason):
    with pytest.raises(Invalid, match=r"^reason "):
        suspend_server(server=acme.server, reason=reason, at=NOW, actor=ANN)
    assert list(Server.objects.suspended(NOW)) == []


def test_an_organizations_suspension_is_its_own(acme):
    suspend_server(server=acme.server, reason="", at=NOW, actor=SYSTEM)
    other = make_server(acme.organization, "Other")
    suspend_organization(organization=acme.organization, reason="", at=NOW, actor=SYSTEM)
    with pytest.raises(ServerSuspended):
        authenticate_key(other.key, at=NOW)
    resume_organization(organization=acme.organization, actor=SYSTEM)
    assert authenticate_key(other.key, at=NOW).server_id == other.server.pk
    with pytest.raises(ServerSuspended):
        authenticate_key(acme.key, at=NOW)


# --- delete, restore --------------------------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_deleted_servers_key_stops_at_once(acme, globex):
    before = snapshot(acme.server)
    deleted = delete_server(server=acme.server, at=NOW, actor=ANN)
    assert snapshot(deleted) == before | {"deleted_at": NOW.isoformat()}
    assert list(Server.objects.living()) == [globex.server]
    with pytest.raises(InvalidKey):
        authenticate_key(acme.key, at=NOW)
    assert authenticate_key(globex.key, at=NOW).server_id == globex.server.pk
    # What it had stays for its history and for a restore.
    assert acme.server.credentials.count() == 2
    assert written_by(ANN) == [("server.deleted", acme.server.name, acme.organization.pk)]


def test_nothing_can_be_done_to_a_deleted_server(acme):
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    for act in (
        lambda: delete_server(server=acme.server, at=NOW, actor=ANN),
        lambda: change_server(server=acme.server, actor=ANN, mode="development"),
        lambda: change_server(server=acme.server, actor=ANN, name="Mail"),
        lambda: suspend_server(server=acme.server, reason="", at=NOW, actor=ANN),
        lambda: resume_server(server=acme.server, actor=ANN),
        lambda: change_server(server=Server(pk=10**12), actor=ANN, name="Mail"),
        lambda: restore_server(server=Server(pk=10**12), at=NOW, actor=ANN),
    ):
        with pytest.raises(NotFound, match="server could not be found"):
            act()
    assert written_by(ANN) == []


@pytest.mark.storage
def test_a_restored_server_is_as_it_was(acme):
    pool = make_pool(acme.organization, "Main")
    change_server(server=acme.server, actor=SYSTEM, ip_pool=pool)
    before = snapshot(Server.objects.get(pk=acme.server.pk))
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    assert snapshot(restore_server(server=acme.server, at=NOW, actor=ANN)) == before
    assert authenticate_key(acme.key, at=NOW).server_id == acme.server.pk
    assert written_by(ANN) == [("server.restored", acme.server.name, acme.organization.pk)]
    with pytest.raises(Conflict, match="not deleted"):
        restore_server(server=acme.server, at=NOW, actor=ANN)


def test_a_server_whose_name_was_taken_stays_deleted(acme):
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    rival = create_server(organization=acme.organization, name=acme.server.name, actor=SYSTEM).server
    with pytest.raises(Conflict, match="taken its name or permalink"):
        restore_server(server=acme.server, at=NOW, actor=ANN)
    # By another name the rival still has its permalink.
    change_server(server=rival, actor=SYSTEM, name="Renamed")
    with pytest.raises(Conflict, match="taken its name or permalink"):
        restore_server(server=acme.server, at=NOW, actor=ANN)
    assert list(Server.objects.living()) == [rival]


def test_a_restored_server_has_no_pool_that_was_withdrawn(acme):
    kept, withdrawn = make_pool(acme.organization, "Kept"), make_pool(acme.organization, "Withdrawn")
    change_server(server=acme.server, actor=SYSTEM, ip_pool=withdrawn)
    for pool in (kept, withdrawn):
        IPPoolRule.objects.create(server=acme.server, pool=pool, from_conditions="example.com")
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    withdraw_pool(organization=acme.organization, pool=withdrawn, actor=SYSTEM)

    assert restore_server(server=acme.server, at=NOW, actor=ANN).ip_pool is None
    assert [rule.pool for rule in acme.server.pool_rules.all()] == [kept]
    assert [act for act, _, _ in written_by(ANN)] == ["ip_pool_rule.deleted", "server.restored"]
