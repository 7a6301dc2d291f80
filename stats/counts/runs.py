"""The log of roll-up runs for operators."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils import timezone

from stats.models import RollupRun

_MOST_DETAIL = 10_000


@contextmanager
def logged(kind: RollupRun.Kind) -> Iterator[RollupRun]:
    """Log a run of this kind: the block sets its results; an exception marks the run as failed."""
    run = RollupRun(kind=kind, outcome=RollupRun.Outcome.DONE, started_at=timezone.now())
    try:
        yield run
    except Exception as error:
        run.outcome = RollupRun.Outcome.FAILED
        run.detail = f"{type(error).__name__}: {error}"
        raise
    finally:
        run.detail = run.detail[:_MOST_DETAIL]
        # A clock that was set back must not hide the run.
        run.finished_at = max(run.started_at, timezone.now())
        run.save()
