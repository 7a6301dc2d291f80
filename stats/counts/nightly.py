"""Daily work: closes the day that ended, and audits all counts."""

import datetime
from collections.abc import Iterable

import structlog

from core import sql_lists
from stats.counts import buckets
from stats.counts.audit import Audit, audit
from stats.counts.fold import fold_all
from stats.counts.runs import logged
from stats.models import Day, RollupRun

logger = structlog.get_logger(__name__)


def close_days(*, now: datetime.datetime) -> Audit | None:
    """Fold open batches, audit each day that has ended since the last time, and mark it complete; None if there is none.

    A day whose counts differ is not stamped, and is checked again the next time.
    """
    ended = list(
        Day.objects.filter(
            day__lt=buckets.day_of(now), completed_at=None, dropped_at=None, reopened_at=None
        ).values_list("day", flat=True)
    )
    if not ended:
        return None
    with logged(RollupRun.Kind.CLOSE_DAY) as run:
        folded = fold_all(now=now, wait=True)
        found = _check(run, ended, now)
        run.batches = folded.batches
        if found.is_clean:
            Day.objects.filter(day__in=sql_lists.ids(found.days), completed_at=None).update(completed_at=now)
    return found


def audit_counts(*, now: datetime.datetime) -> Audit:
    """Audit all stored days."""
    with logged(RollupRun.Kind.AUDIT) as run:
        return _check(run, None, now)


def _check(run: RollupRun, days: Iterable[int] | None, now: datetime.datetime) -> Audit:
    found = audit(days, now=now)
    run.events, run.rows, run.detail = found.events, found.differing, str(found)
    if found.is_clean:
        Day.objects.filter(day__in=sql_lists.ids(found.days)).update(checked_at=now)
    else:
        run.outcome = RollupRun.Outcome.DIFFERENT
        logger.error("counts_differ", rows=found.differing, batches=len(found.missing_events), first=str(found)[:500])
    return found
