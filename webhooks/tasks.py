"""The tasks of webhooks: each finds its work in rows, may run late, twice or beside itself, and reads the clock here."""

import structlog
from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from webhooks import deliveries, domain_errors, sending, signing

logger = structlog.get_logger(__name__)

# A worker has other tasks: one run is short, and asks for the next where it leaves something.
RUN_SECONDS = 10.0


@shared_task
def deliver() -> None:
    """Make the deliveries that are due."""
    if sending.run(clock=timezone.now, seconds=RUN_SECONDS).has_more:
        deliver.apply_async(expires=60)


@shared_task
def announce_domain_errors() -> None:
    """Tell webhooks of domains that DNS no longer says what it must of."""
    if domain_errors.announce(at=timezone.now()):
        request_delivery()


@shared_task
def keep_in_bounds() -> None:
    """Drop what is waiting beyond the bound, and end what has waited too long; nothing waits longer than it ever should."""
    now = timezone.now()
    deliveries.bring_forward(at=now)
    deliveries.drop_excess(at=now)
    deliveries.give_up(at=now)


@shared_task
def forget_old() -> None:
    """Delete deliveries past their keeping, and keys that are no longer published."""
    now = timezone.now()
    deliveries.forget_old(at=now)
    signing.forget_expired(at=now)


def request_delivery() -> None:
    """Ask for a run now, after deliveries came into being; at most once a second, however many come.

    Should the broker or the cache be away, the schedule sends soon after they are back.
    """
    try:
        if cache.add("webhooks.requested", True, timeout=1):
            deliver.apply_async(retry=False, expires=60)
    except Exception as error:
        # Whatever it is: the deliveries are stored, and what they tell of is done.
        logger.warning("webhooks_not_requested", cause=repr(error))
