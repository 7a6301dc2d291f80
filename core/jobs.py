"""Background jobs in steps: start, claim, step, finish or fail.

A worker that claims a job gets it with a new attempt number. Everything it writes afterwards is on condition that the number
is still the job's: one that fell silent, lost the job and wakes up again gets Superseded, and its step is rolled back with it.
"""

import datetime
from collections.abc import Callable
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Max

from core.errors import Refused
from core.locks import advisory
from core.models import Job
from core.models.job import STALE_AFTER, JobQuerySet

__all__ = [
    "STALE_AFTER",
    "Superseded",
    "claim",
    "fail",
    "finish",
    "heartbeat",
    "make_way",
    "release",
    "start",
    "step",
    "take_turns",
]

log = structlog.get_logger(__name__)

# A job that was taken up so often without getting on kills its workers, by memory or by a crash no `except` sees.
MOST_ATTEMPTS = 20
# What was done longer ago counts no more in the order of turns.
_REMEMBERED = datetime.timedelta(hours=1)
FAILURE_LENGTH = 2_000


class Superseded(Refused):
    """The worker has lost the job: another one took it over, or it has ended."""

    default_message = "The job was taken over by another worker"


def start(
    *,
    kind: str,
    label: str,
    parameters: dict[str, Any] | None = None,
    total: int | None = None,
    organization_id: int | None = None,
    user_id: int | None = None,
) -> Job:
    """Create a job. Send its task after the caller's transaction has committed.

    `total` is how many steps there are, None until that is known.
    """
    return Job.objects.create(
        kind=kind,
        label=label[:200],
        parameters=parameters or {},
        progress_total=total,
        organization_id=organization_id,
        user_id=user_id,
    )


@transaction.atomic
def claim(pk: int, *, at: datetime.datetime) -> Job | None:
    """Claim the job if it waits or its worker is silent; None if another worker has it, or it has ended or was deleted.

    Of several claimers one gets it: the update waits for the other's, then looks again. A job taken up MOST_ATTEMPTS times,
    and more by as much as it has done, fails instead.
    """
    found = Job.objects.claimable(at).filter(pk=pk)
    if not found.update(state=Job.State.RUNNING, heartbeat_at=at, attempt=F("attempt") + 1):
        return None
    # In the update's transaction, so that the attempt read is the one written.
    job = Job.objects.get(pk=pk)
    if job.attempt > MOST_ATTEMPTS + job.progress_done:
        fail(job, at=at, failure=f"It was started {MOST_ATTEMPTS} times and never finished")
        return None
    return job


def take_turns(
    kind: str, run: Callable[..., None], *, now: Callable[[], datetime.datetime], lasts: datetime.timedelta
) -> bool:
    """Do jobs of this kind for some time, by `run(job, now=now)`, which makes way when its turn is over.

    Only one worker does, so that the others are free for other tasks. Of people whose jobs wait, the one whose last turn was
    longest ago is next. Return whether there is more to do.
    """
    end = now() + lasts
    while (job := _claim_turn(kind, at=now())) is not None:
        _run(job, run, now)
        if now() >= end:
            return Job.objects.claimable(now()).filter(kind=kind).exists()
    return False


@transaction.atomic
def _claim_turn(kind: str, *, at: datetime.datetime) -> Job | None:
    """Claim the job whose turn it is; None while a worker has one of this kind, and if none waits."""
    advisory(f"core.jobs.{kind}")
    if Job.objects.running(at).filter(kind=kind).exists():
        return None
    waiting = list(Job.objects.claimable(at).filter(kind=kind).order_by("pk").values_list("pk", "user_id"))
    lately = (at - _REMEMBERED, at + STALE_AFTER)
    recent = Job.objects.filter(kind=kind, user_id__in={user for _, user in waiting}, heartbeat_at__range=lately)
    served = dict(recent.order_by().values_list("user_id").annotate(Max("heartbeat_at")))
    never = at - _REMEMBERED
    for pk, _ in sorted(waiting, key=lambda each: (served.get(each[1], never), each[0])):
        job = claim(pk, at=at)
        if job is not None:
            return job
    return None


def _run(job: Job, run: Callable[..., None], now: Callable[[], datetime.datetime]) -> None:
    try:
        run(job, now=now)
    except Superseded:
        log.info("job_superseded", job=job.pk)
    except Exception as error:
        log.exception("job_failed", job=job.pk)
        fail(job, at=now(), failure=f"{type(error).__name__}: see the log")


def heartbeat(job: Job, *, at: datetime.datetime) -> None:
    """Show that the worker lives, during a step longer than STALE_AFTER; raises Superseded."""
    _write(job, heartbeat_at=at)


def step(job: Job, *, cursor: Any, done: int, at: datetime.datetime, total: int | None = None) -> None:
    """Save the job's progress, in the transaction of the step; raises Superseded, which must roll the step back.

    `cursor` is where the next worker goes on; `done` counts from the job's beginning; `total` None leaves it.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a step and its cursor are written in one transaction")
    _write(
        job, cursor=cursor, progress_done=done, heartbeat_at=at, **({} if total is None else {"progress_total": total})
    )


def release(job: Job) -> None:
    """Release the job for another worker, because this one stops; raises Superseded."""
    _write(job, state=Job.State.WAITING, heartbeat_at=None)


def make_way(job: Job) -> None:
    """Release the job, because its turn is over: when that was is remembered. Raises Superseded."""
    _write(job, state=Job.State.WAITING)


def finish(job: Job, *, at: datetime.datetime, outcome: Any = None) -> None:
    """Mark the job as done. `outcome` is shown on its page, as JSON; raises Superseded."""
    _write(job, state=Job.State.DONE, finished_at=at, outcome=outcome)


def fail(job: Job, *, at: datetime.datetime, failure: str) -> None:
    """Mark the job as failed, with the reason; it is not retried. Raises Superseded."""
    # An exception's text can hold anything, also what the column cannot (NUL, half a surrogate pair).
    storable = failure.replace("\x00", "").encode("utf-8", "replace").decode()
    _write(job, state=Job.State.FAILED, finished_at=at, failure=storable[:FAILURE_LENGTH])


def _write(job: Job, **columns: Any) -> None:
    own: JobQuerySet = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, attempt=job.attempt)
    if not own.update(**columns):
        raise Superseded
    for name, value in columns.items():
        setattr(job, name, value)
