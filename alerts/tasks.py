"""The tasks of alerts: each finds its work in rows, may run late, twice or beside itself, and reads the clock here."""

import datetime

from celery import shared_task
from django.utils import timezone

from alerts import confirming, evaluating, reports, sending
from alerts.models import Channel

# A worker has other tasks: what is left waits for the next run.
RUN_SECONDS = 10.0
# For so long ended alerts and their messages are kept.
KEPT = datetime.timedelta(days=90)


@shared_task
def evaluate() -> None:
    """Look at all conditions, and write what is to be told."""
    evaluating.evaluate_all(at=timezone.now())


@shared_task
def send() -> None:
    """Send the messages that are due."""
    sending.run(clock=timezone.now, seconds=RUN_SECONDS)


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_confirmation_link(channel_id: int) -> None:
    """Send the link by which a mailbox agrees to alerts. Nothing, if it did or the channel was deleted meanwhile."""
    channel = Channel.objects.filter(pk=channel_id).select_related("organization").first()
    if channel is not None and channel.is_unconfirmed:
        confirming.send(channel)


@shared_task
def write_reports() -> None:
    """Write the weekly reports that are due."""
    reports.write_due(at=timezone.now())


@shared_task
def forget_old() -> None:
    """Delete alerts that ended long ago, and old messages and reports."""
    evaluating.forget_old(at=timezone.now(), kept=KEPT)
    reports.forget_old(at=timezone.now(), kept=KEPT)
