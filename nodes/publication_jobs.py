"""Previews and publications of large platforms as background jobs: to compile the policies of all nodes takes minutes."""

import datetime
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.db import transaction

from core import jobs
from core.audit import Actor
from core.errors import Conflict, Refused
from core.locks import advisory
from core.models import Job, User
from nodes import preview, replay_jobs
from nodes.models import Revision
from nodes.publishing import Draft, Trial, publish, read_draft, roll_back, rollback_draft
from servers.access import sees_platform

PREVIEW, PUBLICATION = "nodes.preview", "nodes.publication"
# A preview that was made longer ago is not shown.
CURRENT_FOR = datetime.timedelta(hours=1)
# Nodes whose changes a preview shows; others that change are named. A worker compares them one by one.
MOST_SHOWN = 20
_NOT_ALLOWED = "The user who requested the publication can no longer publish"


def latest_preview(*, repeats: int | None, now: datetime.datetime) -> Job | None:
    """Return the newest preview against the newest revision that is not too old. `repeats` is the revision of a rollback."""
    found = Job.objects.filter(kind=PREVIEW, created_at__gte=now - CURRENT_FOR, parameters=_compared(repeats))
    return found.order_by("-pk").first()


def request_preview(*, repeats: int | None, user: User, now: datetime.datetime) -> Job:
    """Return the preview that is being made, or a new one; raises Conflict where others have not ended."""
    with transaction.atomic():
        advisory("nodes.publication_jobs")
        found = latest_preview(repeats=repeats, now=now)
        if found is not None and found.finished_at is None:
            return found
        if Job.objects.filter(kind=PREVIEW, finished_at=None).exists():
            raise Conflict("Another preview has not ended yet; try again when it has")
        label = "Preview of publishing" if repeats is None else f"Preview of publishing r{repeats} again"
        return jobs.start(kind=PREVIEW, label=label, parameters=_compared(repeats), user_id=user.pk)


def open_publication() -> Job | None:
    """Return the publication that has not ended."""
    return Job.objects.filter(kind=PUBLICATION, finished_at=None).order_by("-pk").first()


def request_publication(*, repeats: int | None, trial: Trial | None, user: User) -> Job:
    """Let a worker publish; raises Conflict where another publication has not ended."""
    parameters: dict[str, Any] = {"repeats": repeats, "trial": None}
    if trial is not None:
        seconds = trial.hold.total_seconds()
        parameters["trial"] = {"nodes": sorted(trial.nodes), "seconds": seconds, "margin": trial.margin}
    with transaction.atomic():
        advisory("nodes.publication_jobs")
        if open_publication() is not None:
            raise Conflict("Another publication is running; try again when it has ended")
        label = "Publication" if repeats is None else f"Publication of r{repeats} again"
        return jobs.start(kind=PUBLICATION, label=label, parameters=parameters, user_id=user.pk)


def run(job: Job, *, now: Callable[[], datetime.datetime]) -> None:
    """Make the preview, or publish."""
    if job.kind == PREVIEW:
        _preview(job, now)
    else:
        _publish(job, now)


def _preview(job: Job, now: Callable[[], datetime.datetime]) -> None:
    repeats = job.parameters["repeats"]
    draft = _draft(repeats, lambda: jobs.heartbeat(job, at=now()))

    def on_node(done: int, total: int) -> None:
        with transaction.atomic():
            jobs.step(job, cursor=None, done=done, total=total, at=now())

    found = preview.preview(draft, most=MOST_SHOWN, on_node=on_node)
    if _number_of(draft.based_on) != job.parameters["based_on"]:
        jobs.fail(job, at=now(), failure="Another revision was published meanwhile; request the preview again")
        return
    jobs.finish(job, at=now(), outcome={"preview": found.document(), "replay": asdict(replay_jobs.replayed(draft))})


def _publish(job: Job, now: Callable[[], datetime.datetime]) -> None:
    # Rights may have been taken away since it was requested.
    user = User.objects.filter(pk=job.user_id or 0, is_active=True, is_staff=True).first()
    if user is None or not sees_platform(user) or not user.has_perm("nodes.change_revision"):
        jobs.fail(job, at=now(), failure=_NOT_ALLOWED)
        return
    repeats, trial, actor = job.parameters["repeats"], _trial(job.parameters["trial"]), Actor.of_user(user)

    def on_node() -> None:
        jobs.heartbeat(job, at=now())

    try:
        if repeats is None:
            revision = publish(actor=actor, now=now(), trial=trial, on_node=on_node)
        else:
            revision = roll_back(number=repeats, actor=actor, now=now(), on_node=on_node)
    except Refused as refusal:
        jobs.fail(job, at=now(), failure=refusal.message)
        return
    jobs.finish(job, at=now(), outcome={"revision": revision.number})


def _draft(repeats: int | None, on_node: Callable[[], None]) -> Draft:
    if repeats is None:
        return read_draft(on_node=on_node)
    return rollback_draft(Revision.objects.get(number=repeats))


def _trial(stored: dict[str, Any] | None) -> Trial | None:
    if stored is None:
        return None
    return Trial(frozenset(stored["nodes"]), datetime.timedelta(seconds=stored["seconds"]), stored["margin"])


def _compared(repeats: int | None) -> dict[str, Any]:
    return {"repeats": repeats, "based_on": _number_of(Revision.objects.order_by("-number").first())}


def _number_of(revision: Revision | None) -> int | None:
    return None if revision is None else revision.number
