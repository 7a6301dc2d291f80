"""Invitations: nobody becomes a member of an organization of others without having agreed to it.

Owners invite a username, whose account finds the invitation in the panel, or a mailbox, to which a link is sent; where the
installation sends no e-mail, the owner hands the link over. The owner's answer is the same whether or not there is such an
account: nothing here looks for one before its person has accepted. Only the platform adds people directly (servers.people).
"""

import datetime
from typing import Any

from celery import current_app
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from core import letters, lockout, password_links, users
from core.acts import locked
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid, NotFound
from core.models import AuditEntry, User
from servers import people
from servers.access import sees_platform
from servers.locks import lock_organization
from servers.models import Invitation, Membership, Organization

VALID_FOR = datetime.timedelta(days=7)
_SALT = "servers.invitations"
GONE = "This invitation has been used, withdrawn or declined, or is too old"


@atomic_act
def invite(
    *, organization: Organization, role: str, at: datetime.datetime, actor: Actor, username: str = "", email: str = ""
) -> Invitation:
    """Invite an account by its username, or a mailbox. Raises Invalid, QuotaExceeded; Conflict where too many were sent."""
    username, email = _cleaned(username, email)
    people.refuse_unknown_role(role)
    # So that the organization is not deleted meanwhile, and the count of its people holds.
    lock_organization(organization.pk)
    _forget_expired(organization, at, actor)
    open_ones = Invitation.objects.filter(organization=organization)
    people.refuse_more_than_most(organization, open_ones.count())
    if username and Membership.objects.filter(organization=organization, user__username=username).exists():
        raise Invalid(Fault("username", "belongs to the organization already"))
    named = {"username": username} if username else {"email__iexact": email}
    if open_ones.filter(**named).exists():
        raise Invalid(Fault("username" if username else "email", "is invited already"))
    # A username counts as an address of its own, whether or not there is such an account.
    password_links.count_invitation(email or f"username {username}", organization.pk)
    invitation = Invitation.objects.create(
        organization=organization,
        role=role,
        username=username,
        email=email,
        is_mailed=bool(email) and password_links.is_possible(),
        invited_by_id=actor.id if actor.kind == AuditEntry.ActorKind.USER else None,
        created_at=at,
        expires_at=at + VALID_FOR,
    )
    _record(actor, "created", invitation, after=snapshot(invitation))
    if password_links.is_possible():
        # By a worker, for usernames too: the time that it takes would tell whether there is such an account.
        task = current_app.signature("servers.tasks.send_invitation", args=[invitation.pk])
        transaction.on_commit(task.delay, robust=True)
    return invitation


@atomic_act
def withdraw(*, invitation: Invitation, actor: Actor) -> None:
    """Delete the invitation: neither its link nor its account's page has it any more."""
    lock_organization(invitation.organization_id)
    found = _locked(invitation)
    _record(actor, "withdrawn", found, before=snapshot(found))
    found.delete()


@atomic_act
def accept(*, invitation: Invitation, user: User, at: datetime.datetime, actor: Actor) -> Membership:
    """Make the person a member. Raises NotFound for an invitation that is no longer open, or is another account's."""
    organization = lock_organization(invitation.organization_id)
    found = _open(invitation, at)
    if found.username and not _is_to(user, found):
        raise NotFound(GONE)
    people.refuse_platforms(user)
    people.refuse_more_than_most(organization)
    _record(actor, "accepted", found, before=snapshot(found))
    found.delete()
    membership = Membership.objects.filter(organization=organization, user=user).first()
    if membership is None:
        membership = people.enter(organization=organization, user=user, role=found.role, actor=actor)
    return membership


@atomic_act
def join(*, invitation: Invitation, password: str, at: datetime.datetime, actor: Actor) -> Membership:
    """Make the account of a person who has none, and make them a member. Raises as `accept` does.

    The account's name is not chosen, so that nobody who follows a link learns which names are taken: it is the mailbox that
    the link was sent to, or is one of the organization's own, such as `ada@acme`.
    """
    organization = lock_organization(invitation.organization_id)
    found = _open(invitation, at)
    if not found.email:
        raise NotFound(GONE)
    local, _, _ = found.email.partition("@")
    user = users.make_user(
        username=users.free_username(found.email.lower() if found.is_mailed else f"{local}@{organization.permalink}"),
        password=password,
        email=found.email,
        is_staff=True,
        actor=actor,
    )
    return accept(invitation=found, user=user, at=at, actor=Actor.of_user(user))


@atomic_act
def decline(*, invitation: Invitation, at: datetime.datetime, actor: Actor, user: User | None = None) -> None:
    """Decline. The organization sees the invitation as before, until it expires: it learns of no account."""
    lock_organization(invitation.organization_id)
    found = _open(invitation, at)
    if found.username and (user is None or not _is_to(user, found)):
        raise NotFound(GONE)
    found.declined_at = at
    found.save(update_fields=["declined_at"])
    # For the platform alone.
    record(actor=actor, act="invitation.declined", target=found, after={"declined_at": at.isoformat()})


def of(user: User, *, at: datetime.datetime) -> QuerySet[Invitation]:
    """Return the open invitations to this account, of which its page tells."""
    if not user.is_active or not user.is_staff or sees_platform(user):
        return Invitation.objects.none()
    named = Invitation.objects.open(at).filter(username=user.get_username(), created_at__gte=user.date_joined)
    renamed = users.renamings(user).filter(at__gte=OuterRef("created_at"))
    return named.exclude(Exists(renamed)).select_related("organization")


# --- The link --------------------------------------------------------------------------------------------------------


def url_of(invitation: Invitation, base: str) -> str:
    """Return the link of an invitation to a mailbox; `base`: the panel's address."""
    token = signing.dumps([invitation.pk, invitation.email], salt=_SALT)
    return base.rstrip("/") + reverse("admin:invitation", args=[token])


def of_token(token: str, *, at: datetime.datetime) -> Invitation:
    """Return the open invitation that a link is for; raises NotFound."""
    try:
        pk, email = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound(GONE) from None
    found = Invitation.objects.open(at).filter(pk=pk, email=email).exclude(email="").select_related("organization")
    if (invitation := found.first()) is None:
        raise NotFound(GONE)
    return invitation


def send(invitation: Invitation) -> None:
    """Send the link, or tell the account's mailbox of the invitation, if there is such an account."""
    # Not by its name, which may be any text: the mail goes to whomever somebody wrote into a form.
    organization, role = invitation.organization.permalink, invitation.get_role_display()
    first = f"{organization} invites you to Sluice, its control panel for sending mail, as: {role}."
    if invitation.email:
        to, way = invitation.email, f"Accept or decline here:\n\n{url_of(invitation, settings.SLUICE_PANEL_URL)}"
    else:
        user = User.objects.filter(username=invitation.username, is_active=True, is_staff=True).first()
        if (
            user is None
            or not user.email
            or not _is_to(user, invitation)
            or sees_platform(user)
            or not lockout.count_notice(address=user.email, organization_id=invitation.organization_id)
        ):
            return
        page = letters.url_of("admin:account")
        to, way = user.email, f"Accept or decline on the page of your account:\n\n{page}"
    body = (
        f"{first}\n\n{way}\n\nThe invitation ends on {invitation.expires_at:%Y-%m-%d}. Until you accept it, nothing changes.\n"
        "If you did not expect this message, ignore it.\n"
    )
    letters.send(f"Invitation to {organization}", body, to=to)


# --- Parts -----------------------------------------------------------------------------------------------------------


def _cleaned(username: str, email: str) -> tuple[str, str]:
    if bool(username.strip()) == bool(email.strip()):
        raise Invalid(Fault("email", "is what an invitation goes to, or a username: give one of them"))
    if username.strip():
        return users.clean_username(username), ""
    try:
        validate_email(email.strip())
    except ValidationError:
        raise Invalid(Fault("email", "is not an e-mail address")) from None
    return "", email.strip()


def _forget_expired(organization: Organization, at: datetime.datetime, actor: Actor) -> None:
    for expired in Invitation.objects.filter(organization=organization, expires_at__lte=at):
        _record(actor, "expired", expired, before=snapshot(expired))
        expired.delete()


def _locked(invitation: Invitation) -> Invitation:
    try:
        return locked(Invitation.objects.select_related("organization", "invited_by"), invitation.pk)
    except NotFound:
        raise NotFound(GONE) from None


def _open(invitation: Invitation, at: datetime.datetime) -> Invitation:
    """Return the invitation, locked, if it can be accepted and who made it could still make it."""
    found = _locked(invitation)
    inviter = found.invited_by
    if found.declined_at is not None or found.is_expired(at) or not (inviter is None or _may_invite(inviter, found)):
        raise NotFound(GONE)
    return found


def _is_to(user: User, invitation: Invitation) -> bool:
    """Whether the account had the invitation's name when it was made: names change hands."""
    if user.get_username() != invitation.username or user.date_joined > invitation.created_at:
        return False
    return not users.renamings(user).filter(at__gte=invitation.created_at).exists()


def _may_invite(user: User, invitation: Invitation) -> bool:
    if sees_platform(user):
        return True
    owners = Membership.objects.filter(organization_id=invitation.organization_id, role=Membership.Role.OWNER)
    return user.is_active and user.is_staff and owners.filter(user=user).exists()


def _record(actor: Actor, act: str, invitation: Invitation, **states: Any) -> None:
    record(
        actor=actor,
        act=f"invitation.{act}",
        target=invitation,
        organization_id=invitation.organization_id,
        **states,
    )
