"""Creates deliveries: a row for each webhook that wants an event, in the transaction that stores the event."""

import datetime
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from core import sql_lists
from core.compiled import Compiled
from servers.models import Webhook
from webhooks.models import Delivery
from webhooks.payloads import body_of

# How long a delivery is tried.
TRIED_FOR = datetime.timedelta(days=3)
_ROWS_A_STATEMENT = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook that is to be told of some events; `events` empty: of all."""

    webhook_id: int
    server_id: int
    events: frozenset[str]
    is_private: bool

    def wants(self, event: str) -> bool:
        return not self.events or event in self.events


def targets_of(servers: Iterable[int]) -> dict[int, list[Target]]:
    """Return the enabled webhooks of those of the servers that are not deleted, by server. One query."""
    found: dict[int, list[Target]] = {}
    for pk, server, events, is_private in _OF_SERVERS.all(sql_lists.id_list(servers)):
        found.setdefault(server, []).append(Target(pk, server, frozenset(events), is_private))
    return found


def _of_servers(listed: str) -> QuerySet[Webhook, tuple[Any, ...]]:
    rows = Webhook.objects.filter(enabled=True, server__in=sql_lists.ids_in(listed), server__deleted_at=None)
    return rows.order_by("pk").values_list("pk", "server_id", "events", "server__privacy_mode")


# Every batch of events asks.
_OF_SERVERS = Compiled((str,), _of_servers)


def queue(told: Iterable[tuple[Target, str, Mapping[str, Any]]], *, now: datetime.datetime) -> int:
    """Write a delivery for each (target, event, payload), and return how many there are.

    They exist exactly if the caller's transaction commits.
    """
    rows = []
    for target, event, payload in told:
        pk = uuid.uuid4()
        body = body_of(event=event, payload=payload, delivery=pk, at=now)
        rows.append(
            Delivery(
                uuid=pk,
                webhook_id=target.webhook_id,
                server_id=target.server_id,
                event=event,
                body=body,
                created_at=now,
                due_at=now,
                until=now + TRIED_FOR,
            )
        )
    if rows:
        Delivery.objects.bulk_create(rows, batch_size=_ROWS_A_STATEMENT)
    return len(rows)
