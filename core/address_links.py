"""A person's new e-mail address takes effect when its mailbox has followed a link: weekly reports are sent there."""

import datetime

from celery import current_app
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.utils.crypto import constant_time_compare, salted_hmac

from core import letters, lockout, password_links, users
from core.audit import Actor
from core.errors import NotFound
from core.models import AuditEntry, User

VALID_FOR = datetime.timedelta(days=1)
GONE = "This link is not valid any more"
_SALT = "core.address_links"


@transaction.atomic
def request(*, user: User, email: str) -> None:
    """Send the link to the new address, after the transaction; raises Conflict where too many were sent."""
    password_links.refuse_flood(lambda: lockout.count_address_link(address=email, user_id=user.pk))
    task = current_app.signature("core.tasks.send_address_link", args=[user.pk, email])
    transaction.on_commit(task.delay, robust=True)


def send(user: User, email: str) -> None:
    """Send the link. By no text that the person chose: it goes to whatever address they entered."""
    token = signing.dumps([user.pk, user.email, email, _mark(user)], salt=_SALT)
    link = letters.url_of("admin:confirm_address", token)
    body = (
        f"This address was entered for an account of Sluice, a control panel for sending mail.\n\nConfirm that it is yours:\n\n"
        f"{link}\n\nThe link works for a day. If you did not expect this message, ignore it: nothing has changed.\n"
    )
    letters.send("Confirm your address for Sluice", body, to=email)


def of_token(token: str) -> tuple[User, str]:
    """Return the account of a link and its new address.

    Raises NotFound, also where the account got another address or another password since the link was asked for: whoever knew
    the password for a while has no way back into the account.
    """
    try:
        pk, before, email, mark = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound(GONE) from None
    user = User.objects.filter(pk=pk, is_active=True, email__in=[before, email]).first()
    if user is None or not (user.email == email or constant_time_compare(mark, _mark(user))):
        raise NotFound(GONE)
    return user, email


@transaction.atomic
def confirm(token: str) -> None:
    """Give the account its new address; following the link again changes nothing. Raises NotFound."""
    # Of several links at once, each looks at what the one before it has left.
    user, email = of_token(token)
    User.objects.select_for_update().get(pk=user.pk)
    user, email = of_token(token)
    users.change_user(user=user, email=email, actor=Actor.of_user(user))


def _mark(user: User) -> str:
    """Return what is another after each change of the password or of the address, also where the address is a former one."""
    entries = AuditEntry.objects.filter(
        target_type=User._meta.label_lower, target_id=str(user.pk), act="user.changed"
    ).exclude(before__email=F("after__email"))
    last = entries.order_by("-pk").values_list("pk", flat=True).first()
    return salted_hmac(_SALT, f"{user.password} {last}", algorithm="sha256").hexdigest()[:32]
