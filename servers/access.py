"""Authentication of server keys, and which records a user can view and change."""

import datetime
import uuid
from dataclasses import dataclass
from typing import ClassVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from core.audit import Actor
from core.compiled import Compiled
from core.errors import Refused
from core.keys import digest
from core.models import AuditEntry, User
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.models import Credential, Membership, Organization, Server


class InvalidKey(Refused):
    """The key is unknown, held, expired, or of a deleted server. The caller cannot distinguish these."""

    default_message = "The API key is not valid"


class ServerSuspended(Refused):
    """The key is valid, but its server or organization is suspended."""

    default_message = "The server is suspended"


@dataclass(frozen=True, slots=True)
class Caller:
    """The server that a request acts for, as one query found it; `core.keys.touch_last_used` takes it."""

    key_model: ClassVar[type[Credential]] = Credential

    credential_id: int
    credential_name: str
    last_used_at: datetime.datetime | None
    can_manage_organization: bool
    server_id: int
    server_uuid: uuid.UUID
    server_name: str
    server_permalink: str
    organization_id: int
    organization_uuid: uuid.UUID
    organization_permalink: str

    @property
    def pk(self) -> int:
        """The credential's."""
        return self.credential_id

    @property
    def actor(self) -> Actor:
        label = f"{self.organization_permalink}/{self.server_permalink}: {self.credential_name}"
        return Actor.of_credential(self.credential_id, label)


_COLUMNS = (
    "pk",
    "name",
    "last_used_at",
    "can_manage_organization",
    "server_id",
    "server__uuid",
    "server__name",
    "server__permalink",
    "server__organization_id",
    "server__organization__uuid",
    "server__organization__permalink",
)
_STATE = ("held_at", "expires_at", "server__suspended_at", "server__suspended_until")


_BY_DIGEST = Compiled(
    (str,),
    lambda text: Credential.objects.filter(
        key_digest=text, kind=Credential.Kind.API, server__deleted_at=None
    ).values_list(*_COLUMNS, *_STATE, "server__organization__suspended_at"),
)


def authenticate_key(key: str, *, at: datetime.datetime) -> Caller:
    """Return the server of this API key, by one query; raises InvalidKey or ServerSuspended."""
    row = _BY_DIGEST.first(digest(key))
    if row is None:
        raise InvalidKey
    *identity, held_at, expires_at, suspended_at, suspended_until, organization_suspended_at = row
    if held_at is not None or (expires_at is not None and expires_at <= at):
        raise InvalidKey
    is_suspended = suspended_at is not None and (suspended_until is None or suspended_until > at)
    if is_suspended or organization_suspended_at is not None:
        raise ServerSuspended
    return Caller(*identity)


# --- People ----------------------------------------------------------------------------------------------------------

CHANGING_ROLES = (Membership.Role.OWNER, Membership.Role.OPERATOR)


def sees_platform(user: User | AnonymousUser) -> bool:
    """Whether the user sees every tenant's records: superusers, and staff with the permission `core.platform`."""
    return user.is_active and user.is_staff and user.has_perm("core.platform")


def is_platforms(actor: Actor) -> bool:
    """Whether the actor is the platform: its staff, a command, or Sluice itself; not an organization's people or keys."""
    if actor.kind == AuditEntry.ActorKind.USER:
        user = User.objects.filter(pk=actor.id or 0).first()
        return user is not None and sees_platform(user)
    return actor.kind in (AuditEntry.ActorKind.COMMAND, AuditEntry.ActorKind.SYSTEM)


def organizations_of(user: User | AnonymousUser) -> QuerySet[Organization]:
    """Return the organizations whose records the user may see."""
    if sees_platform(user):
        return Organization.objects.all()
    if not user.is_active or not user.is_staff:
        return Organization.objects.none()
    return Organization.objects.filter(memberships__user_id=user.pk or 0)


def organizations_changed_by(user: User | AnonymousUser) -> QuerySet[Organization]:
    """Return the organizations whose records the user may change, by role."""
    if sees_platform(user):
        return Organization.objects.all()
    return organizations_of(user).filter(memberships__user_id=user.pk or 0, memberships__role__in=CHANGING_ROLES)


def organizations_owned_by(user: User | AnonymousUser) -> QuerySet[Organization]:
    """Return the organizations whose people the user may change."""
    if sees_platform(user):
        return Organization.objects.all()
    return organizations_of(user).filter(memberships__user_id=user.pk or 0, memberships__role=Membership.Role.OWNER)


def servers_of(user: User | AnonymousUser) -> QuerySet[Server]:
    """Return the servers, deleted ones too, that the user may see."""
    if sees_platform(user):
        return Server.objects.all()
    return Server.objects.filter(organization__in=organizations_of(user))


def pools_seen_by(user: User | AnonymousUser) -> QuerySet[IPPool]:
    """Return the pools of the organizations that the user may see."""
    if sees_platform(user):
        return IPPool.objects.all()
    organizations = organizations_of(user)
    granted = Q(pk__in=IPPool.objects.filter(organization_pools__organization__in=organizations).values("pk"))
    return IPPool.objects.filter(granted)


def addresses_seen_by(user: User | AnonymousUser) -> QuerySet[IPAddress]:
    """Return the addresses in the pools that the user may see."""
    if sees_platform(user):
        return IPAddress.objects.all()
    members = IPPoolMember.objects.filter(pool__in=pools_seen_by(user))
    return IPAddress.objects.filter(pk__in=members.values("ip_address_id"))
