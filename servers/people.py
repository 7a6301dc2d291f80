"""Memberships of an organization: add, change the role, remove.

The platform adds people directly. Owners invite them (servers.invitations): nobody gets into an organization, and under what it
demands of its people, without having agreed to it.
"""

from dataclasses import dataclass
from typing import Any

from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, Fault, Invalid, NotAllowed, QuotaExceeded
from core.models import User
from core.users import clean_username, make_password, make_user
from servers.access import is_platforms, sees_platform
from servers.locks import lock_organization
from servers.models import Membership, Organization

# Members of one organization. Each may be a new account, which stays.
MOST_PEOPLE = 500


@dataclass(frozen=True, slots=True)
class AddedPerson:
    """A new member; `password` is that of a newly created account, or None."""

    membership: Membership
    password: str | None


@atomic_act
def add_person(*, organization: Organization, username: str, role: str, actor: Actor, email: str = "") -> AddedPerson:
    """Add a person to the organization. A missing account is created, with a password to hand over. Only the platform does.

    Accounts of the platform are refused: membership would take their access to GreenArrow's API away. Raises QuotaExceeded.
    """
    if not is_platforms(actor):
        raise NotAllowed("Only the platform adds people directly: invite them")
    username = clean_username(username)
    refuse_unknown_role(role)
    # So that the organization is not deleted meanwhile.
    lock_organization(organization.pk)
    refuse_more_than_most(organization)
    user = User.objects.filter(username=username).first()
    password = None
    if user is None:
        password = make_password()
        user = make_user(username=username, password=password, email=email, is_staff=True, actor=actor)
    elif not user.is_staff:
        raise Invalid(Fault("username", "has an account that may not sign in to the panel"))
    refuse_platforms(user)
    if Membership.objects.filter(organization=organization, user=user).exists():
        raise Invalid(Fault("username", "belongs to the organization already"))
    return AddedPerson(enter(organization=organization, user=user, role=role, actor=actor), password)


@atomic_act
def enter(*, organization: Organization, user: User, role: str, actor: Actor) -> Membership:
    """Make the user a member, who is none yet; the caller has the organization's lock, and the person's or platform's word."""
    membership = Membership.objects.create(organization=organization, user=user, role=role)
    _record(actor, "membership.created", membership, after=snapshot(membership))
    return membership


@atomic_act
def change_role(*, membership: Membership, role: str, actor: Actor) -> Membership:
    """Change the person's role. Raises Conflict for the last owner."""
    refuse_unknown_role(role)
    changed = _locked(membership)
    if changed.role == role:
        return changed
    _refuse_ownerless(changed)
    before = snapshot(changed)
    changed.role = role
    save_change(changed, before, act="membership.changed", actor=actor, organization_id=changed.organization_id)
    return changed


@atomic_act
def remove_person(*, membership: Membership, actor: Actor) -> None:
    """Remove the person from the organization. Raises Conflict for the last owner. The account is kept."""
    removed = _locked(membership)
    _refuse_ownerless(removed)
    _record(actor, "membership.deleted", removed, before=snapshot(removed))
    removed.delete()


def _locked(membership: Membership) -> Membership:
    # The organization's row first, so that two owners who leave at once do not each count on the other.
    lock_organization(membership.organization_id)
    return locked(Membership.objects.select_related("organization", "user"), membership.pk)


def _refuse_ownerless(membership: Membership) -> None:
    if membership.role != Membership.Role.OWNER:
        return
    others = Membership.objects.filter(organization_id=membership.organization_id, role=Membership.Role.OWNER)
    if not others.exclude(pk=membership.pk).exists():
        raise Conflict("The organization would have no owner: give another member the role owner first")


def refuse_unknown_role(role: str) -> None:
    if role not in Membership.Role.values:
        raise Invalid(Fault("role", "must be owner, operator or analyst"))


def refuse_more_than_most(organization: Organization, invited: int = 0) -> None:
    """Raise QuotaExceeded if the organization has its people already, `invited` ones included."""
    if Membership.objects.filter(organization=organization).count() + invited >= MOST_PEOPLE:
        raise QuotaExceeded(f"The organization has {MOST_PEOPLE} people already, which is the most")


def refuse_platforms(user: User) -> None:
    """Raise Invalid for accounts of the platform: membership would take their access to GreenArrow's API away."""
    if user.api_level != User.ApiLevel.NO or sees_platform(user):
        raise Invalid(Fault("username", "has an account of the platform, which belongs to no organization"))


def _record(actor: Actor, act: str, membership: Membership, **states: Any) -> None:
    record(actor=actor, act=act, target=membership, organization_id=membership.organization_id, **states)
