"""Create, change and delete webhooks of servers."""

from collections.abc import Iterator
from typing import Any

from core.atomic_acts import atomic_act
from core.audit import Actor
from core.errors import Fault, QuotaExceeded
from core.texts import is_storable, is_visible
from servers import quotas
from servers.locks import lock_organization_of
from servers.models import Server, Webhook
from servers.owned_records import OwnedRecords
from servers.webhook_urls import BadURL, parse

NAME_LENGTH = 200
# An event makes a delivery for each: a server with thousands would make the events of all that share its node slow.
MOST_OF_A_SERVER = 50
# Postal's names of webhook events.
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
# Of those, what nothing here notices: a webhook that is for these alone is never called.
NEVER_TOLD = ("MessageLinkClicked", "MessageLoaded")
CHANGEABLE = frozenset({"name", "url", "events", "enabled", "sign"})


def _faults(webhook: Webhook) -> Iterator[Fault]:
    if not is_visible(webhook.name):
        yield Fault("name", "is required")
    elif len(webhook.name) > NAME_LENGTH or not is_storable(webhook.name):
        yield Fault("name", f"must be at most {NAME_LENGTH} characters, without control characters")
    try:
        parse(webhook.url)
    except BadURL as problem:
        yield Fault("url", str(problem))
    if unknown := sorted(set(webhook.events) - set(EVENTS)):
        yield Fault("events", f"are not all known: {', '.join(unknown)}")


WEBHOOKS = OwnedRecords(Webhook, CHANGEABLE, frozenset({"name", "url"}), _faults)


@atomic_act
def create_webhook(*, server: Server, actor: Actor, **columns: Any) -> Webhook:
    """Create a webhook with `name` and `url`; `events` empty: it is called for all. Raises Invalid, QuotaExceeded."""
    # Under this lock nobody else adds one to the server either.
    quotas.refuse_beyond(lock_organization_of(server), "max_webhooks")
    if Webhook.objects.filter(server=server).count() >= MOST_OF_A_SERVER:
        raise QuotaExceeded(f"A server may have at most {MOST_OF_A_SERVER} webhooks")
    return WEBHOOKS.create(server, columns, actor)


@atomic_act
def change_webhook(*, webhook: Webhook, actor: Actor, **changes: Any) -> Webhook:
    """Change name, url, events, enabled or sign; omitted fields are kept."""
    return WEBHOOKS.change(webhook, changes, actor)


@atomic_act
def delete_webhook(*, webhook: Webhook, actor: Actor) -> None:
    """Delete the webhook."""
    WEBHOOKS.delete(webhook, actor)
