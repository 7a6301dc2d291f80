"""A person's new e-mail address takes effect when its mailbox has followed a link: weekly reports are sent there."""

import datetime

from celery import current_app
from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse

from core import password_links, users
from core.audit import Actor
from core.errors import NotFound
from core.models import User

VALID_FOR = datetime.timedelta(days=1)
GONE = "This link is not valid any more"
_SALT = "core.address_links"


@transaction.atomic
def request(*, user: User, email: str) -> None:
    """Send the link to the new address, after the transaction; raises Conflict where too many were sent."""
    password_links.count_invitation(email, None)
    task = current_app.signature("core.tasks.send_address_link", args=[user.pk, email])
    transaction.on_commit(task.delay, robust=True)


def send(user: User, email: str) -> None:
    """Send the link. By no text that the person chose: it goes to whatever address they entered."""
    token = signing.dumps([user.pk, user.email, email], salt=_SALT)
    link = settings.SLUICE_PANEL_URL.rstrip("/") + reverse("admin:confirm_address", args=[token])
    body = (
        f"This address was entered for an account of Sluice, a control panel for sending mail.\n\nConfirm that it is yours:\n\n"
        f"{link}\n\nThe link works for a day. If you did not expect this message, ignore it: nothing has changed.\n"
    )
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage("Confirm your address for Sluice", body, None, [email], headers=headers).send()


def of_token(token: str) -> tuple[User, str]:
    """Return the account of a link and its new address; raises NotFound, also where the account got another one meanwhile."""
    try:
        pk, before, email = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound(GONE) from None
    user = User.objects.filter(pk=pk, is_active=True, email__in=[before, email]).first()
    if user is None:
        raise NotFound(GONE)
    return user, email


@transaction.atomic
def confirm(token: str) -> None:
    """Give the account its new address; following the link again changes nothing. Raises NotFound."""
    user, email = of_token(token)
    users.change_user(user=user, email=email, actor=Actor.of_user(user))
