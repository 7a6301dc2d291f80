"""One-time links by e-mail to set a password: invitations, and for people who forgot theirs.

A link holds Django's token of a password reset: it works once, for PASSWORD_RESET_TIMEOUT seconds, and not after a sign-in, a
change of the password or of the e-mail address. It replaces the password alone: a second factor is still asked for.
"""

from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from redis.exceptions import RedisError

from core import letters, lockout
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Conflict
from core.models import User

WHY_NOT = "This installation sends no such e-mails: EMAIL_HOST and SLUICE_PANEL_URL are not both set"
TOO_MANY = "Too many e-mails were sent to people in the last minutes: try again in five minutes"
OUT_OF_ORDER = "E-mails to people cannot be sent at the moment: try again later"
# Accounts may share an address; one e-mail has the links of no more of them.
MOST_ACCOUNTS = 10


def is_possible() -> bool:
    """Whether links can be sent: there is a mail server, and the panel's address is known.

    The address is never taken from a request: its Host header could lead the link to another server.
    """
    return bool(settings.EMAIL_HOST and settings.SLUICE_PANEL_URL)


@atomic_act
def invite(*, user: User, actor: Actor, organization_id: int | None = None) -> None:
    """Send the user a link to set a password, after the transaction; raises Conflict where that is impossible, or too often.

    `organization_id` is the organization whose people may read the audit entry, None for the platform alone.
    """
    if not is_possible():
        raise Conflict(WHY_NOT)
    if not user.email:
        raise Conflict("The account has no e-mail address")
    if not (user.is_active and user.is_staff):
        raise Conflict("The account may not sign in to the panel")
    count_invitation(user.email, organization_id)
    record(actor=actor, act="user.invited", target=user, organization_id=organization_id)
    task = current_app.signature("core.tasks.send_password_link", args=[user.pk])
    transaction.on_commit(task.delay, robust=True)


def count_invitation(address: str, organization_id: int | None) -> None:
    """Count an invitation of this address, or another e-mail that asks its owner.

    Raises Conflict where there were too many, or they cannot be counted.
    """
    refuse_flood(lambda: lockout.count_invitation(address=address, organization_id=organization_id))


def refuse_flood(count: Callable[[], bool]) -> None:
    """Raise Conflict where the count of an e-mail says that it may not be sent, or it cannot be counted."""
    try:
        is_within = count()
    except (RedisError, OSError):
        # Without the counts none is sent.
        raise Conflict(OUT_OF_ORDER) from None
    if not is_within:
        raise Conflict(TOO_MANY)


def send_forgotten(email: str) -> None:
    """Send one e-mail with the links of all accounts that have this address and may sign in to the panel; record them."""
    found = User.objects.filter(email__iexact=email, is_active=True, is_staff=True).order_by("pk")
    # Some letters are equal for a database and belong to another mailbox.
    same = [each for each in found[:MOST_ACCOUNTS] if each.email.casefold() == email.casefold()]
    users = [each for each in same if each.has_usable_password()]
    if users and lockout.count_link(address=email):
        send(*users)
        for user in users:
            record(actor=Actor.system(), act="user.password_link_sent", target=user)


def send(*users: User) -> None:
    """Send the links of accounts with one address."""
    hours = settings.PASSWORD_RESET_TIMEOUT // 3600
    links = "".join(
        f"Set the password of your account {each.get_username()} here:\n\n{url_of(each)}\n\n" for each in users
    )
    body = (
        f"{links}A link works once, within {hours} hours. If you did not expect this message, ignore it: nothing has"
        " changed.\n"
    )
    letters.send("Set your password for Sluice", body, to=users[0].email)


def url_of(user: User) -> str:
    """Return the link."""
    key = urlsafe_base64_encode(force_bytes(user.pk))
    return letters.url_of("admin:password_reset_confirm", key, default_token_generator.make_token(user))
