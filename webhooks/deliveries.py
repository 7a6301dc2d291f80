"""Acts on deliveries: sending one again; and what time does to them."""

import datetime
import time

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet

from core.audit import Actor, record
from core.errors import Conflict, NotFound
from webhooks import circuits
from webhooks.backoff import LONGEST_TRIAL, LONGEST_WAIT
from webhooks.models import Circuit, Delivery
from webhooks.queueing import TRIED_FOR

logger = structlog.get_logger(__name__)

_ROWS_AT_ONCE = 5_000
# Seconds. SQLite has one writer, and a web request may be waiting for it.
_PAUSE = 0.02


@transaction.atomic
def send_again(*, delivery: Delivery, at: datetime.datetime, actor: Actor) -> Delivery:
    """Make the delivery due now, whatever became of it: the same body with the same uuid.

    Its webhook is called even where its calls were held back. Raises NotFound where the delivery has been deleted, and
    Conflict where its webhook is disabled or its server deleted.
    """
    found = (
        Delivery.objects.select_for_update(of=("self",))
        .select_related("webhook__server")
        .filter(pk=delivery.pk)
        .first()
    )
    if found is None:
        raise NotFound("The delivery could not be found")
    webhook = found.webhook
    if not webhook.enabled:
        raise Conflict("The webhook is disabled")
    if webhook.server.deleted_at is not None:
        raise Conflict("The webhook's server has been deleted")
    found.state, found.due_at, found.until, found.attempts = Delivery.State.WAITING, at, at + TRIED_FOR, 0
    found.save(update_fields=["state", "due_at", "until", "attempts"])
    circuits.reset(webhook.pk)
    # Without its body: the recipient's mailbox is nowhere but in the delivery's row.
    record(
        actor=actor,
        act="webhook.sent_again",
        target=webhook,
        before={},
        after={"delivery": str(found.uuid), "event": found.event},
        organization_id=webhook.server.organization_id,
    )
    return found


def give_up(*, at: datetime.datetime) -> int:
    """End the deliveries whose time to be tried is over and that no worker has ended: their webhooks are disabled."""
    return (
        Delivery.objects.waiting()
        .filter(until__lt=at, due_at__lt=at)
        .update(state=Delivery.State.FAILED, due_at=None, error="It was not delivered in time")
    )


def bring_forward(*, at: datetime.datetime) -> int:
    """Make due what a clock that was ahead has put off for longer than any wait; return the number of deliveries."""
    Circuit.objects.filter(retry_at__gt=at + 2 * LONGEST_TRIAL).update(retry_at=at)
    put_off = Delivery.objects.waiting().filter(due_at__gt=at + 2 * LONGEST_WAIT)
    return put_off.update(due_at=at, until=at + TRIED_FOR)


def drop_excess(*, at: datetime.datetime) -> int:
    """Drop the oldest of a webhook's waiting deliveries where more are waiting than are kept; return how many."""
    most = settings.SLUICE_WEBHOOK_BACKLOG
    waiting = Delivery.objects.waiting().order_by().values("webhook_id").annotate(number=Count("pk"))
    total = 0
    for webhook_id, number in waiting.filter(number__gt=most).values_list("webhook_id", "number"):
        oldest = Delivery.objects.waiting().filter(webhook_id=webhook_id).order_by("pk")
        dropped = 0
        while dropped < number - most:
            with transaction.atomic():
                gone = _delete(oldest, min(_ROWS_AT_ONCE, number - most - dropped))
                circuits.note_dropped(webhook_id, gone, at=at)
            dropped += gone
            if not gone:
                break
            _give_way()
        logger.warning("webhook_deliveries_dropped", webhook=webhook_id, number=dropped)
        total += dropped
    return total


def forget_old(*, at: datetime.datetime) -> int:
    """Delete the deliveries that are over and past their keeping, and return how many there were."""
    kept_from = at - datetime.timedelta(days=settings.SLUICE_WEBHOOK_RETENTION)
    old = Delivery.objects.filter(due_at=None, created_at__lt=kept_from).order_by("created_at")
    total = 0
    while gone := _delete(old, _ROWS_AT_ONCE):
        total += gone
        _give_way()
    return total


def _delete(rows: QuerySet[Delivery], number: int) -> int:
    ids = list(rows.values_list("pk", flat=True)[:number])
    return Delivery.objects.filter(pk__in=ids).delete()[0] if ids else 0


def _give_way() -> None:
    if connection.vendor != "postgresql" and not connection.in_atomic_block:
        time.sleep(_PAUSE)
