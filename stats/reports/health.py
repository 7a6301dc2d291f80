"""The health of the statistics, for probes, metrics and the dashboard."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Subquery, Sum

from core.compiled import Compiled
from stats.ledger import outbox
from stats.ledger.database import ALIAS, IS_APART
from stats.models import Batch, RollupRun

# The fold runs every few seconds: a batch that has waited this long waits for a worker that does not come.
LONGEST_LAG = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Lag:
    """The stored events that are not counted yet."""

    batches: int
    events: int
    # How long the oldest of them has waited; 0.0 without open batches.
    seconds: float

    @property
    def is_too_long(self) -> bool:
        return self.seconds > LONGEST_LAG.total_seconds()


def lag(now: datetime.datetime) -> Lag:
    """Return the lag of the counts; one query over open batches."""
    batches, events, oldest = _OPEN.first(using=ALIAS) or (0, 0, None)
    waited = (now - oldest).total_seconds() if oldest else 0.0
    return Lag(batches, events or 0, max(0.0, waited))


def problems(now: datetime.datetime) -> list[str]:
    """Return problems for operators, a sentence each; empty if there are none."""
    found = []
    behind = lag(now)
    if behind.is_too_long:
        found.append(f"{behind.events} events wait to be counted, the oldest for {behind.seconds / 60:.0f} minutes.")
    if IS_APART and (left := outbox.waiting(now=now)):
        found.append(f"Throttle programs, webhooks or suppressions have not been told of {left} batches.")
    latest = _latest_runs()
    checks = [run for kind, run in latest.items() if kind in (RollupRun.Kind.AUDIT, RollupRun.Kind.REBUILD)]
    last = max(checks, key=lambda run: (run.started_at, run.pk), default=None)
    if last and last.outcome == RollupRun.Outcome.DIFFERENT:
        found.append(f"The last audit found {last.rows} counts that differ from their events.")
    for kind in RollupRun.Kind:
        run = latest.get(kind)
        if run and run.outcome == RollupRun.Outcome.FAILED:
            found.append(
                f"{run.get_kind_display()} failed: {run.detail.splitlines()[0] if run.detail else 'no reason'}"
            )
    return found


def _latest_runs() -> dict[str, RollupRun]:
    """Return the last run of each kind, by one query."""
    found = (RollupRun(**dict(zip(_OF_RUN, row, strict=True))) for row in _LATEST.all(using=ALIAS))
    return {run.kind: run for run in found}


def _latest() -> QuerySet[Any, tuple[Any, ...]]:
    wanted = Q()
    for kind in RollupRun.Kind:
        runs = RollupRun.objects.filter(kind=kind).order_by("-started_at", "-id")
        wanted |= Q(pk=Subquery(runs.values("pk")[:1]))
    return RollupRun.objects.filter(wanted).values_list(*_OF_RUN)


def _open() -> QuerySet[Any, tuple[Any, ...]]:
    # By a column that is the same in all rows: there is one group, or none.
    grouped = Batch.objects.filter(folded_at=None).order_by().values("folded_at")
    sums = {"batches": Count("id"), "events": Sum("event_count"), "oldest": Min("received_at")}
    return grouped.annotate(**sums).values_list(*sums)


# The front page asks both each time.
_OF_RUN = ("id", "kind", "outcome", "started_at", "rows", "detail")
_LATEST, _OPEN = Compiled((), _latest), Compiled((), _open)
