"""core.audit: the trail of changes, which nothing rewrites."""

import datetime
import uuid

import pytest
import structlog
from django.db import IntegrityError, connection, transaction

from core.audit import Actor, record, record_creations, snapshot
from core.models import AuditEntry
from tests.cast import ANN, last_entry
from tests.factories import (
    AuditEntryFactory,
    CredentialFactory,
    DomainFactory,
    IPAddressFactory,
    OrganizationFactory,
    RelayServerFactory,
    UserFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def columns(entry):
    return {
        field.attname: getattr(entry, field.attname)
        for field in entry._meta.concrete_fields
        if field.attname not in {"id", "at"}
    }


def test_it_works():
    organization = OrganizationFactory(name="ACME Inc")
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        record(
            actor=ANN, act="organization.changed", target=organization, before={"name": "A"}, after={"name": "B"},
            organization_id=organization.pk,
        )  # fmt: skip
    entry = last_entry()
    assert columns(entry) == {
        "actor_kind": "user",
        "actor_id": 7,
        "actor_label": "ann",
        "act": "organization.changed",
        "target_type": "servers.organization",
        "target_id": str(organization.pk),
        "target_label": "ACME Inc",
        "organization_id": organization.pk,
        "before": {"name": "A"},
        "after": {"name": "B"},
        "request_id": "r-1",
    }
    assert abs(entry.at - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=30)


def test_many_creations_take_one_statement(django_assert_num_queries):
    organizations = [OrganizationFactory(name=name) for name in ("A", "B")]
    with django_assert_num_queries(1):
        record_creations(
            actor=Actor.system(),
            act="organization.created",
            targets=[(each, snapshot(each)) for each in organizations],
            organization_id=9,
        )
    entries = AuditEntry.objects.order_by("pk")
    assert [(entry.target_label, entry.before, entry.organization_id) for entry in entries] == [
        ("A", None, 9),
        ("B", None, 9),
    ]
    assert [entry.after for entry in entries] == [snapshot(each) for each in organizations]


def test_long_labels_are_cut():
    record(actor=Actor("user", 1, "x" * 999), act="user.changed", target=UserFactory(), request_id="r" * 99)
    assert (len(last_entry().actor_label), len(last_entry().request_id)) == (200, 64)


def test_it_is_undone_with_its_act():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(actor=ANN, act="user.changed", target=UserFactory(), after={"n": 1 / 0})
    assert not AuditEntry.objects.exists()


def test_a_snapshot_has_json_values_of_all_columns():
    organization = OrganizationFactory.build(
        pk=3, uuid=uuid.UUID(int=5), name="A", permalink="a",
        suspended_at=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    )  # fmt: skip
    assert snapshot(organization) == {
        "id": 3,
        "uuid": "00000000-0000-0000-0000-000000000005",
        "name": "A",
        "permalink": "a",
        "time_zone": "UTC",
        "allow_keyless_create": False,
        "requires_second_factor": False,
        "suspended_at": "2026-01-02T00:00:00+00:00",
        "suspension_reason": "",
        "created_at": None,
        "max_servers": None,
        "max_domains": None,
        "max_addresses": None,
        "max_credentials": None,
        "max_webhooks": None,
        "max_keyless_creations_an_hour": None,
    }


def test_a_snapshot_has_the_base_tables_columns_too():
    taken = snapshot(IPAddressFactory(name="out-1", ipv4="192.0.2.1"))
    assert (taken["name"], taken["ipv4"], taken["kind"]) == ("out-1", "192.0.2.1", "ip_address")


@pytest.mark.parametrize(
    ("make", "secrets"),
    [
        (CredentialFactory, {"key_digest", "key_ciphertext"}),
        (lambda: DomainFactory(dkim_private_key="c2VjcmV0"), {"dkim_private_key"}),
        (lambda: RelayServerFactory(destination_password="c2VjcmV0"), {"destination_password"}),
        (lambda: UserFactory(password="argon2$x"), {"password"}),
    ],
    ids=["credential", "domain", "relay server", "user"],
)
def test_a_snapshot_has_no_secrets(make, secrets):
    instance = make()
    taken = snapshot(instance)
    assert not secrets & taken.keys()
    for name in secrets:
        assert getattr(instance, name)
        assert getattr(instance, name) not in str(taken)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda: AuditEntry.objects.update(act="nothing"),
        lambda: AuditEntry.objects.all()._raw_delete("default"),
        lambda: AuditEntry.objects.get().delete(),
    ],
    ids=["update", "delete", "delete one"],
)
def test_postgresql_refuses_to_rewrite_the_trail(rewrite):
    AuditEntryFactory()
    if connection.vendor == "sqlite":
        # docs/decisions: the embedded default trusts whoever holds the file.
        rewrite()
        return
    with pytest.raises(IntegrityError, match="the audit trail is append-only"), transaction.atomic():
        rewrite()
    assert AuditEntry.objects.get().act == "server.created"
