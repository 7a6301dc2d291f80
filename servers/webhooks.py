"""Webhooks of servers: made, changed, deleted."""

from typing import Any
from urllib.parse import urlsplit

from core.attributes import is_storable
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid, NotFound
from core.races import atomic_act
from servers.models import Server, Webhook

NAME_LENGTH = 200
URL_LENGTH = 2000
# Postal's names of what a webhook can be told of.
EVENTS = (
    "MessageSent",
    "MessageDelayed",
    "MessageDeliveryFailed",
    "MessageHeld",
    "MessageBounced",
    "MessageLinkClicked",
    "MessageLoaded",
    "DomainDNSError",
    "SendLimitApproaching",
    "SendLimitExceeded",
)
CHANGEABLE = frozenset({"name", "url", "events", "enabled", "sign"})


@atomic_act
def create_webhook(*, server: Server, actor: Actor, **columns: Any) -> Webhook:
    """Make a webhook of `name` and `url`; `events` empty: it is told of all."""
    _refuse_deleted(server)
    webhook = Webhook(server=server)
    _assign(webhook, columns)
    webhook.save(force_insert=True)
    _record(actor, "webhook.created", webhook, after=snapshot(webhook))
    return webhook


@atomic_act
def change_webhook(*, webhook: Webhook, actor: Actor, **changes: Any) -> Webhook:
    """Change name, url, events, enabled or sign; what is not named stays."""
    locked = _lock(webhook)
    before = snapshot(locked)
    _assign(locked, changes)
    locked.save()
    _record(actor, "webhook.changed", locked, before=before, after=snapshot(locked))
    return locked


@atomic_act
def delete_webhook(*, webhook: Webhook, actor: Actor) -> None:
    """Delete the webhook."""
    locked = _lock(webhook)
    _record(actor, "webhook.deleted", locked, before=snapshot(locked))
    locked.delete()


def _assign(webhook: Webhook, columns: dict[str, Any]) -> None:
    if unknown := set(columns) - CHANGEABLE:
        raise TypeError(f"{', '.join(sorted(unknown))} cannot be set by this act")
    for name, value in columns.items():
        setattr(webhook, name, value.strip() if name in ("name", "url") else value)
    faults = []
    if not webhook.name:
        faults.append(Fault("name", "is required"))
    elif len(webhook.name) > NAME_LENGTH or not is_storable(webhook.name):
        faults.append(Fault("name", f"must be at most {NAME_LENGTH} characters, without control characters"))
    if not _is_url(webhook.url):
        faults.append(Fault("url", "must be an address that begins with https:// or http://"))
    if unknown_events := sorted(set(webhook.events) - set(EVENTS)):
        faults.append(Fault("events", f"are not all known: {', '.join(unknown_events)}"))
    if faults:
        raise Invalid(*faults)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and len(text) <= URL_LENGTH and is_storable(text)


def _refuse_deleted(server: Server) -> None:
    if not Server.objects.living().filter(pk=server.pk).exists():
        raise NotFound("The server could not be found")


def _lock(webhook: Webhook) -> Webhook:
    locked = Webhook.objects.select_for_update(of=("self",)).select_related("server").filter(pk=webhook.pk).first()
    if locked is None:
        raise NotFound("The webhook could not be found")
    return locked


def _record(actor: Actor, act: str, webhook: Webhook, **states: Any) -> None:
    record(actor=actor, act=act, target=webhook, organization_id=webhook.server.organization_id, **states)
