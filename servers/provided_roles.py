"""What the groups of an OpenID provider give its people: at each sign-in, roles become what SLUICE_OIDC_ROLES says.

Roles that it does not name stay as people of Sluice gave them.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib.auth.models import Group
from django.db import transaction

from core import identities, users
from core.acts import locked
from core.audit import Actor, record, snapshot
from core.errors import Refused
from core.models import User
from core.provided_roles import ROLES, Rule
from servers import permalinks
from servers.locks import lock_organization
from servers.models import Membership

logger = structlog.get_logger(__name__)


class NoAccess(Refused):
    """The person has no account and no role, or an account that may not sign in."""

    default_message = "Your account has no access to this panel: ask its administrators for a role"


@dataclass(frozen=True, slots=True)
class Person:
    """What a provider says of who signed in."""

    issuer: str
    subject: str
    username: str
    # Only one that the provider has verified.
    email: str
    first_name: str
    last_name: str
    groups: frozenset[str]


def admit(person: Person, *, rules: Sequence[Rule], at: datetime.datetime, actor: Actor) -> User:
    """Return the user that this person is, with the roles of their groups. An account is made for whoever gets a role by them.

    Raises NoAccess; roles that were taken away before stay away.
    """
    identity = identities.find(issuer=person.issuer, subject=person.subject)
    if identity is None:
        return _made(person, rules, at, actor)
    if not (identity.user.is_active and identity.user.is_staff):
        raise NoAccess
    user = follow(user=identity.user, rules=rules, groups=person.groups, at=at, actor=actor)
    if not has_access(user):
        raise NoAccess
    return user


@transaction.atomic
def _made(person: Person, rules: Sequence[Rule], at: datetime.datetime, actor: Actor) -> User:
    user = users.make_user(
        username=users.free_username(person.username),
        password=None,
        email=person.email,
        first_name=person.first_name,
        last_name=person.last_name,
        is_staff=True,
        actor=actor,
    )
    identities.link(user=user, issuer=person.issuer, subject=person.subject, actor=actor)
    user = follow(user=user, rules=rules, groups=person.groups, at=at, actor=actor)
    if not has_access(user):
        # Nothing of this stays.
        raise NoAccess
    return user


def matching(rules: Iterable[Rule], groups: Iterable[str]) -> list[Rule]:
    """Return the rules that a person in these groups of the provider fulfils."""
    held = {*groups}
    return [rule for rule in rules if rule.group in held]


@transaction.atomic
def follow(*, user: User, rules: Sequence[Rule], groups: Iterable[str], at: datetime.datetime, actor: Actor) -> User:
    """Give the user the roles of these groups, and take away those that the rules name and the groups do not give.

    A permalink that an organization gave up means it as long as it is reserved (nodes.former_names keeps it so).
    Whoever gets a role of the platform gets none in an organization: members have no access to GreenArrow's API. The last
    active superuser stays one. An organization may lose its last owner: the provider decides, and the platform can add one.
    """
    fulfilled = matching(rules, groups)
    wanted = _wanted(rules, fulfilled, at)
    held = dict(Membership.objects.filter(user=user).values_list("organization_id", "role"))
    different = sorted(pk for pk, role in wanted.items() if held.get(pk) != role)
    # Organizations before users, as whoever adds a member locks them.
    for pk in different:
        lock_organization(pk)
    found = locked(User.objects.all(), user.pk, no_key=False)
    found = _follow_platform(found, rules, fulfilled, actor)
    for pk in different:
        _follow_organization(found, pk, wanted[pk], actor)
    return found


def _wanted(rules: Sequence[Rule], fulfilled: Sequence[Rule], at: datetime.datetime) -> dict[int, str | None]:
    """Return the role in each organization that the rules name, by its id; None: none."""
    ids = permalinks.holders({rule.organization for rule in rules if rule.organization}, at=at)
    wanted: dict[int, str | None] = dict.fromkeys(ids.values())
    if any(rule.is_platforms for rule in fulfilled):
        return wanted
    for rule in fulfilled:
        pk = ids.get(rule.organization)
        if pk is None:
            logger.warning("role_of_unknown_organization", organization=rule.organization)
            continue
        # Of several roles in an organization, the one that may do most.
        wanted[pk] = min(wanted[pk] or ROLES[-1], rule.role, key=ROLES.index)
    return wanted


def has_access(user: User) -> bool:
    """Whether the user may see anything in the panel."""
    return bool(user.is_superuser or user.get_all_permissions() or Membership.objects.filter(user_id=user.pk).exists())


def _follow_platform(user: User, rules: Sequence[Rule], fulfilled: Sequence[Rule], actor: Actor) -> User:
    changes: dict[str, Any] = {}
    if any(rule.is_superuser for rule in rules):
        is_superuser = any(rule.is_superuser for rule in fulfilled)
        if not is_superuser and users.is_last_superuser(user):
            logger.warning("last_superuser_kept", user=user.get_username())
        else:
            changes["is_superuser"] = is_superuser
    named = {rule.permissions for rule in rules if rule.permissions}
    groups: list[Group] | None = None
    if named:
        given = {rule.permissions for rule in fulfilled if rule.permissions}
        groups = [*user.groups.exclude(name__in=named), *Group.objects.filter(name__in=given)]
    return users.change_user(user=user, actor=actor, groups=groups, **changes)


def _follow_organization(user: User, organization_id: int, role: str | None, actor: Actor) -> None:
    memberships = Membership.objects.select_for_update(of=("self",)).select_related("organization", "user")
    membership = memberships.filter(organization_id=organization_id, user=user).first()
    if (membership.role if membership else None) == role:
        return
    before = snapshot(membership) if membership else None
    if role is None:
        assert membership is not None
        record(actor=actor, act="membership.deleted", target=membership, before=before, organization_id=organization_id)
        membership.delete()
        return
    if membership is None:
        membership = Membership(user=user, organization_id=organization_id)
    membership.role = role
    membership.save()
    act = "membership.changed" if before else "membership.created"
    states: dict[str, Any] = {"before": before, "after": snapshot(membership)}
    record(actor=actor, act=act, target=membership, organization_id=organization_id, **states)
