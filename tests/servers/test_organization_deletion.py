"""Deleting an organization: only one that never had a server, with an entry for each thing that goes with it."""

import pytest
from django.utils import timezone

from core.errors import InUse, NotFound
from core.models import AuditEntry, User
from ippools.models import IPPool
from servers.models import IPPoolRule, Membership, Organization, OrganizationPool
from servers.organization_deletion import delete_organization
from servers.people import add_person
from servers.pool_rules import create_rule
from servers.pools import create_platform_pool, create_pool, delete_pool, grant_pool
from servers.provisioning import create_organization, create_server, delete_server
from tests.cast import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture
def empty():
    """An organization with all that goes with it: two people, the platform's pool, a rule."""
    pool = create_platform_pool(name="Shared", actor=SYSTEM)
    organization = create_organization(at=timezone.now(), name="Mistake", actor=SYSTEM)
    grant_pool(organization=organization, pool=pool, actor=SYSTEM)
    for name, role in (("ann", "owner"), ("ben", "analyst")):
        add_person(organization=organization, username=name, role=role, actor=SYSTEM)
    create_rule(owner=organization, pool=pool, to_conditions=["a.example"], actor=SYSTEM)
    return organization


@pytest.mark.storage
def test_it_works(empty):
    audited = AuditEntry.objects.latest("pk").pk
    delete_organization(organization=empty, actor=SYSTEM)
    assert not Organization.objects.filter(pk=empty.pk).exists()
    assert (Membership.objects.count(), IPPoolRule.objects.count()) == (0, 0)
    assert not OrganizationPool.objects.filter(organization_id=empty.pk).exists()
    assert User.objects.filter(username__in=["ann", "ben"]).count() == 2
    assert IPPool.objects.filter(name="Shared").exists()
    entries = AuditEntry.objects.filter(pk__gt=audited).order_by("pk")
    assert [(each.act, each.target_label, each.after, each.organization_id) for each in entries] == [
        ("ip_pool_rule.deleted", entries[0].target_label, None, empty.pk),
        ("organization_pool.withdrawn", "Shared for Mistake", None, empty.pk),
        ("membership.deleted", "ann of Mistake", None, empty.pk),
        ("membership.deleted", "ben of Mistake", None, empty.pk),
        ("organization.deleted", "Mistake", None, empty.pk),
    ]
    assert entries[4].before["permalink"] == "mistake"
    # Its name is free again.
    assert create_organization(at=timezone.now(), name="Mistake", actor=SYSTEM).permalink == "mistake"


def test_it_rejects_one_that_has_or_had_servers(empty):
    server = create_server(organization=empty, name="Mail", actor=SYSTEM).server
    with pytest.raises(InUse) as refusal:
        delete_organization(organization=empty, actor=SYSTEM)
    assert [(each.type, each.name) for each in refusal.value.dependencies] == [("server", "Mail")]
    delete_server(server=server, at=timezone.now(), actor=SYSTEM)
    with pytest.raises(InUse) as refusal:
        delete_organization(organization=empty, actor=SYSTEM)
    assert [(each.type, each.name) for each in refusal.value.dependencies] == [("deleted server", "Mail")]
    assert Membership.objects.count() == 2


def test_it_rejects_one_that_has_made_pools(empty):
    pool = create_pool(organization=empty, name="Own", ips=["192.0.2.77"], actor=SYSTEM).pool
    with pytest.raises(InUse) as refusal:
        delete_organization(organization=empty, actor=SYSTEM)
    assert [(each.type, each.name) for each in refusal.value.dependencies] == [("IP pool", "Own")]
    delete_pool(pool=pool, actor=SYSTEM)
    delete_organization(organization=empty, actor=SYSTEM)
    assert not Organization.objects.filter(pk=empty.pk).exists()


def test_what_comes_after_it_is_told_that_it_is_gone(empty):
    pool = IPPool.objects.create(name="Of the platform")
    delete_organization(organization=empty, actor=SYSTEM)
    gone = Organization(pk=empty.pk, name="Mistake")
    for act in (
        lambda: delete_organization(organization=gone, actor=SYSTEM),
        lambda: add_person(organization=gone, username="late", role="owner", actor=SYSTEM),
        lambda: create_server(organization=gone, name="Late", actor=SYSTEM),
        lambda: grant_pool(organization=gone, pool=pool, actor=SYSTEM),
    ):
        with pytest.raises(NotFound):
            act()
