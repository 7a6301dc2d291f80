"""The audit trail. Every function that changes a record calls `record` in its transaction."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import structlog
from django.db import models

from core import replica
from core.encryption import CiphertextField
from core.models import AuditEntry, User
from core.names import NameKeyField

# Columns that say nothing about configuration, or that would give a secret away.
UNRECORDED = frozenset(
    {
        "key_digest",
        "password",
        "last_used_at",
        "updated_at",
        "last_login",
        "sender_changed_at",
        "members_changed_at",
        "permalink_since",
        # Only the person of an account can decline an invitation: the organization is not told that there is one.
        "declined_at",
        "is_contested",
    }
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor of a change: a user, a credential, a command, or the platform itself."""

    kind: str
    id: int | None
    label: str

    @classmethod
    def of_user(cls, user: User) -> Self:
        return cls(AuditEntry.ActorKind.USER, user.pk, user.get_username())

    @classmethod
    def of_credential(cls, pk: int, label: str) -> Self:
        return cls(AuditEntry.ActorKind.CREDENTIAL, pk, label)

    @classmethod
    def of_command(cls, name: str) -> Self:
        return cls(AuditEntry.ActorKind.COMMAND, None, name)

    @classmethod
    def system(cls) -> Self:
        return cls(AuditEntry.ActorKind.SYSTEM, None, "Sluice")


def snapshot(instance: models.Model) -> dict[str, Any]:
    """Return the record's columns as JSON values, without secrets, digests and bookkeeping."""
    return {
        field.attname: _plain(getattr(instance, field.attname))
        for field in instance._meta.concrete_fields
        if field.name not in UNRECORDED and not isinstance(field, CiphertextField | NameKeyField)
    }


def record(
    *,
    actor: Actor,
    act: str,
    target: models.Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    organization_id: int | None = None,
    request_id: str | None = None,
) -> AuditEntry:
    """Write an audit entry, in the caller's transaction.

    `act` is `<model>.<past participle>` ("server.created"). `before` is None for a creation and `after` for a deletion.
    `organization_id` is the tenant who may read the entry, None for the platform alone. The request's id is taken from the
    log context where it is not given.
    """
    entry = _entry(actor, act, target, before, after, organization_id, request_id)
    entry.save(force_insert=True)
    replica.note_change()
    return entry


def record_creations(
    *,
    actor: Actor,
    act: str,
    targets: Sequence[tuple[models.Model, dict[str, Any]]],
    organization_id: int | None = None,
) -> None:
    """Write entries for many created records, each with its whole document, with one statement."""
    AuditEntry.objects.bulk_create(
        _entry(actor, act, target, None, document, organization_id, None) for target, document in targets
    )
    replica.note_change()


def _entry(
    actor: Actor,
    act: str,
    target: models.Model,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    organization_id: int | None,
    request_id: str | None,
) -> AuditEntry:
    context = structlog.contextvars.get_contextvars()
    return AuditEntry(
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label[:200],
        act=act,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        target_label=str(target)[:200],
        organization_id=organization_id,
        before=before,
        after=after,
        request_id=str(request_id or context.get("request_id") or "")[:64],
    )


def _plain(value: Any) -> Any:
    match value:
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case uuid.UUID() | Decimal():
            return str(value)
        case _:
            return value
