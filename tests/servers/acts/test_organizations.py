"""servers.provisioning: organizations."""

import pytest
from django.utils import timezone

from core.audit import snapshot
from core.errors import Invalid, NotFound
from servers.models import Organization, OrganizationPool
from servers.provisioning import (
    change_organization,
    create_organization,
    resume_organization,
    suspend_organization,
)
from tests.cast import ANN, NOW, last_entry, written_by
from tests.factories import IPPoolFactory, OrganizationFactory

pytestmark = pytest.mark.django_db
CONTROL = "must not contain control characters"


def faults(refusal):
    return [str(fault) for fault in refusal.value.faults]


@pytest.mark.storage
def test_it_works():
    organization = create_organization(at=timezone.now(), name="  ACME Inc ", actor=ANN)
    organization.refresh_from_db()
    assert (organization.name, organization.permalink, organization.time_zone) == ("ACME Inc", "acme-inc", "UTC")
    assert (organization.allow_keyless_create, organization.is_suspended) == (False, False)
    assert written_by(ANN) == [("organization.created", "ACME Inc", organization.pk)]
    assert (last_entry().before, last_entry().after) == (None, snapshot(organization))


def test_it_takes_every_parameter():
    organization = create_organization(
        at=timezone.now(),
        name="ACME",
        permalink="the-acme",
        time_zone="Europe/Vienna",
        allow_keyless_create=True,
        actor=ANN,
    )
    assert Organization.objects.values("name", "permalink", "time_zone", "allow_keyless_create").get(
        pk=organization.pk
    ) == {"name": "ACME", "permalink": "the-acme", "time_zone": "Europe/Vienna", "allow_keyless_create": True}


def test_it_gets_the_platforms_default_pool_and_no_other():
    shared = IPPoolFactory(is_default=True)
    IPPoolFactory()
    IPPoolFactory(namespace=OrganizationFactory().uuid, is_default=True)
    organization = create_organization(at=timezone.now(), name="ACME", actor=ANN)
    assert [grant.pool for grant in organization.organization_pools.all()] == [shared]
    assert [act for act, _, _ in written_by(ANN)] == ["organization.created", "organization_pool.granted"]


@pytest.mark.parametrize(
    ("name", "permalink"),
    [("日本", "organization"), ("Acme!", "acme-2"), ("ACME-2", "acme-2"), ("acme, 10", "acme-10")],
)
def test_permalinks_are_free_slugs(name, permalink):
    OrganizationFactory(permalink="acme")
    OrganizationFactory(permalink="acme-20")
    assert create_organization(at=timezone.now(), name=name, actor=ANN).permalink == permalink


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": ""}, ["name is required"]),
        ({"name": "\u2003\t"}, ["name is required"]),
        ({"name": "a\x00"}, [f"name {CONTROL}"]),
        ({"name": "\ud800"}, [f"name {CONTROL}"]),
        ({"name": "x" * 201}, ["name is too long (maximum is 200 characters)"]),
        ({"name": "GLOBEX"}, ["name has already been taken"]),
        ({"permalink": "globex"}, ["permalink has already been taken"]),
        ({"permalink": "Acme"}, ["permalink must be of lower-case letters, digits and hyphens, at most 63"]),
        ({"permalink": "a\x00"}, ["permalink must be of lower-case letters, digits and hyphens, at most 63"]),
        ({"permalink": "-"}, ["permalink must be of lower-case letters, digits and hyphens, at most 63"]),
        ({"permalink": "x" * 64}, ["permalink must be of lower-case letters, digits and hyphens, at most 63"]),
        ({"time_zone": "Europe/Nowhere"}, ["time_zone is not the name of a time zone"]),
        ({"time_zone": "\x00"}, ["time_zone is not the name of a time zone"]),
        (
            {"name": "globex", "permalink": "globex", "time_zone": ""},
            [
                "name has already been taken",
                "permalink has already been taken",
                "time_zone is not the name of a time zone",
            ],
        ),
    ],
    ids=str,
)
def test_it_rejects(change, expected):
    OrganizationFactory(name="Globex", permalink="globex")
    with pytest.raises(Invalid) as refusal:
        create_organization(at=timezone.now(), **{"name": "ACME", "permalink": "acme"} | change, actor=ANN)
    assert faults(refusal) == expected
    organization = OrganizationFactory(name="ACME", permalink="acme")
    before = snapshot(organization)
    with pytest.raises(Invalid) as refusal:
        change_organization(at=timezone.now(), organization=organization, actor=ANN, **change)
    assert faults(refusal) == expected
    organization.refresh_from_db()
    assert snapshot(organization) == before
    assert written_by(ANN) == []


def test_a_change_names_only_what_changes():
    organization = OrganizationFactory(name="ACME", permalink="acme")
    before = snapshot(organization)
    # Its own name in another case is no name that is taken.
    changed = change_organization(
        at=timezone.now(), organization=organization, actor=ANN, name="Acme", allow_keyless_create=True
    )
    organization.refresh_from_db()
    assert snapshot(organization) == snapshot(changed) == before | {"name": "Acme", "allow_keyless_create": True}
    assert written_by(ANN) == [("organization.changed", "Acme", organization.pk)]
    assert (last_entry().before, last_entry().after) == (before, snapshot(changed))


def test_only_what_is_the_organizations_to_change_can_be():
    with pytest.raises(TypeError, match="suspended_at cannot be changed"):
        change_organization(at=timezone.now(), organization=OrganizationFactory(), actor=ANN, suspended_at=None)


def test_it_is_suspended_with_a_reason_and_resumed():
    organization = OrganizationFactory()
    suspended = suspend_organization(organization=organization, reason=" Spam ", at=NOW, actor=ANN)
    assert (suspended.is_suspended, suspended.suspended_at, suspended.suspension_reason) == (True, NOW, "Spam")
    resumed = resume_organization(organization=organization, actor=ANN)
    assert (resumed.is_suspended, resumed.suspended_at, resumed.suspension_reason) == (False, None, "")
    label = str(organization)
    assert written_by(ANN) == [
        ("organization.suspended", label, organization.pk),
        ("organization.resumed", label, organization.pk),
    ]


@pytest.mark.parametrize(
    ("reason", "message"), [("\x00", CONTROL), ("x" * 501, "is too long (maximum is 500 characters)")]
)
def test_it_rejects_a_reason_that_cannot_be_stored(reason, message):
    organization = OrganizationFactory()
    with pytest.raises(Invalid, match=r"^reason ") as refusal:
        suspend_organization(organization=organization, reason=reason, at=NOW, actor=ANN)
    assert faults(refusal) == [f"reason {message}"]
    organization.refresh_from_db()
    assert not organization.is_suspended


def test_one_that_is_gone_is_not_found():
    gone = OrganizationFactory()
    Organization.objects.filter(pk=gone.pk).delete()
    for act in (
        lambda: change_organization(at=timezone.now(), organization=gone, actor=ANN, name="B"),
        lambda: suspend_organization(organization=gone, reason="", at=NOW, actor=ANN),
        lambda: resume_organization(organization=gone, actor=ANN),
    ):
        with pytest.raises(NotFound, match="organization could not be found"):
            act()
    assert not OrganizationPool.objects.exists()
