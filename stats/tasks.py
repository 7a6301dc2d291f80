"""Scheduled tasks of the statistics. Each finds its work in the database, and can run late, twice or concurrently."""

import structlog
from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from stats import programs, send_limits, warm_up
from stats.counts import fold, nightly, retention
from stats.counts.runs import logged
from stats.ledger import outbox
from stats.ledger.database import IS_APART
from stats.models import RollupRun

logger = structlog.get_logger(__name__)


@shared_task
def fold_batches() -> None:
    """Count the events of all open batches."""
    try:
        fold.fold_all(now=timezone.now())
    except Exception:
        # The fold notes its runs in its own transaction, which is gone.
        with logged(RollupRun.Kind.FOLD):
            raise


@shared_task
def pass_on_batches() -> None:
    """Let throttle programs, webhooks and suppressions act on what a process that died left, where events are apart."""
    if IS_APART:
        outbox.repeat(now=timezone.now())


@shared_task
def decide_backoff() -> None:
    """Run the throttle programs on recent replies."""
    programs.decide(now=timezone.now())


@shared_task
def decide_send_limits() -> None:
    """Let the send limits that servers have reached defer their mail, and end that when the period is over."""
    send_limits.decide(now=timezone.now())


@shared_task
def decide_warm_up() -> None:
    """Decide on today for every address that is being warmed up."""
    warm_up.decide(now=timezone.now())


@shared_task
def roll_up_day() -> None:
    """Audit the day that has ended and mark it complete."""
    nightly.close_days(now=timezone.now())


@shared_task
def audit_counts() -> None:
    """Audit the counts of all days with stored events."""
    nightly.audit_counts(now=timezone.now())


@shared_task
def make_partitions() -> None:
    """Create the partitions of the coming days."""
    retention.make_partitions(now=timezone.now())


@shared_task
def drop_old_events() -> None:
    """Drop expired events and fine counts."""
    now = timezone.now()
    with logged(RollupRun.Kind.DROP) as run:
        dropped = retention.drop_old_events(now=now)
        run.rows = len(dropped.days)
        if dropped.postponed:
            run.detail = f"{len(dropped.postponed)} days were in use and are left to the next run"
        retention.prune(now=now)


@shared_task
def prune_counts() -> None:
    """Delete expired counts by minute."""
    retention.prune(now=timezone.now())


def request_fold() -> None:
    """Request a fold after ingestion, at most once a second.

    Should the broker or the cache be away, the schedule folds soon after they are back.
    """
    try:
        if cache.add("stats.fold_requested", True, timeout=1):
            fold_batches.apply_async(retry=False, expires=60)
            decide_backoff.apply_async(retry=False, expires=60)
    except Exception as error:
        # Whatever it is: the events are stored, and no answer may say otherwise. (The embedded broker raises what its files
        # make it raise.)
        logger.warning("fold_not_requested", cause=repr(error))
