"""Confirmation of e-mail channels: alerts go to a mailbox only after its owner has agreed by a signed link.

An address is whatever somebody wrote into a form. Until the link is followed, the mailbox gets the link and nothing else, and
that only a few times (as invitations). The platform's staff can confirm an address without it, such as a ticket system's.
"""

import datetime

from celery import current_app
from django.core import signing
from django.db import transaction

from alerts.models import Channel
from core import letters, password_links
from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import Conflict, NotAllowed, NotFound
from core.models import AuditEntry
from servers.access import is_platforms

VALID_FOR = datetime.timedelta(days=3)
GONE = "This link is not valid any more"
_SALT = "alerts.confirming"
_BY_LINK = Actor(AuditEntry.ActorKind.SYSTEM, None, "By a link")


def request(channel: Channel) -> None:
    """Send the link to a channel's mailbox after the transaction, if there is one to be confirmed and links can be sent.

    Raises Conflict where too many were sent.
    """
    if channel.is_unconfirmed and password_links.is_possible():
        password_links.count_invitation(channel.shown_target, channel.organization_id)
        task = current_app.signature("alerts.tasks.send_confirmation_link", args=[channel.pk])
        transaction.on_commit(task.delay, robust=True)


@atomic_act
def request_again(*, channel: Channel, actor: Actor) -> None:
    """Send the link once more; raises Conflict where that is impossible or too often, and NotFound."""
    found = locked(Channel.objects.all(), channel.pk)
    if not found.is_unconfirmed:
        raise Conflict("The channel needs no confirmation")
    if not password_links.is_possible():
        raise Conflict(password_links.WHY_NOT)
    request(found)
    record(
        actor=actor,
        act="channel.link_sent",
        target=found,
        after={"shown_target": found.shown_target},
        organization_id=found.organization_id,
    )


@atomic_act
def confirm(*, channel: Channel, at: datetime.datetime, actor: Actor) -> Channel:
    """Confirm the channel's address without its mailbox: the platform's act. Confirming it again changes nothing."""
    if not is_platforms(actor):
        raise NotAllowed("Only the platform confirms an address without its mailbox")
    return _confirm(channel, at, actor)


@atomic_act
def confirm_by_link(*, token: str, at: datetime.datetime) -> Channel:
    """Confirm the address by the link that its mailbox got; raises NotFound, also where the channel has another address now."""
    return _confirm(of_token(token), at, _BY_LINK)


def of_token(token: str) -> Channel:
    """Return the channel of a link; raises NotFound."""
    try:
        pk, address = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound(GONE) from None
    channels = Channel.objects.select_related("organization")
    if (found := channels.filter(pk=pk, kind=Channel.Kind.EMAIL, shown_target=address).first()) is None:
        raise NotFound(GONE)
    return found


def url_of(channel: Channel) -> str:
    """Return the link."""
    return letters.url_of("confirm-alerts", signing.dumps([channel.pk, channel.shown_target], salt=_SALT))


def send(channel: Channel) -> None:
    """Send the link."""
    # By no text of the organization's people: the letter goes to whomever somebody wrote into a form.
    whose = channel.organization.permalink if channel.organization is not None else "the platform"
    body = (
        f"Alerts of {whose} in Sluice, a control panel for sending mail, are to be sent to {channel.shown_target}.\n\n"
        f"Confirm that you want them:\n\n{url_of(channel)}\n\nThe link works for {VALID_FOR.days} days. Until you confirm, no "
        "alerts are sent to you.\nIf you did not expect this message, ignore it.\n"
    )
    letters.send(f"Alerts of {whose}: confirm your address", body, to=channel.shown_target)


def _confirm(channel: Channel, at: datetime.datetime, actor: Actor) -> Channel:
    found = locked(Channel.objects.select_related("organization"), channel.pk)
    if found.shown_target != channel.shown_target:
        raise NotFound(GONE)
    if found.is_unconfirmed:
        before = snapshot(found)
        found.confirmed_at = at
        save_change(found, before, act="channel.confirmed", actor=actor, organization_id=found.organization_id)
    return found
