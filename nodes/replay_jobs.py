"""Replays of a draft as background jobs: the events of a week are too many to read while a page is made."""

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import transaction

from core import jobs
from core.errors import Conflict
from core.models import Job
from nodes.models import Revision
from nodes.publishing import Draft, read_draft, rollback_draft
from nodes.replay import changed_nodes, replay_node

KIND = "nodes.replay"
# What was computed longer ago is computed again: the last seven days are others now.
CURRENT_FOR = datetime.timedelta(hours=1)
# Replays that have not ended: each revision that could be published again has one of its own.
MOST_OPEN = 10
# So long a replay goes on, node by node, before it is another person's turn.
TURN = datetime.timedelta(seconds=5)
_CHANGED = "The configuration has changed since the replay was requested; request it again"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay has to know of a draft: what tells it from others, its number, and how many nodes it changes."""

    draft: str
    number: int
    nodes: int


def replayed(draft: Draft) -> Replayed:
    """Return what a replay has to know of this draft."""
    return Replayed(fingerprint(draft), draft.number, len(changed_nodes(draft)))


def latest(draft: str, *, now: datetime.datetime) -> Job | None:
    """Return the newest replay of exactly the draft with this fingerprint that is not too old; None: there is none."""
    of_draft = Job.objects.filter(kind=KIND, parameters__draft=draft, created_at__gte=now - CURRENT_FOR)
    return of_draft.order_by("-pk").first()


def request_replay(found: Replayed, *, repeats: int | None, user_id: int | None, now: datetime.datetime) -> Job:
    """Return the replay of this draft: one that runs or is done, or a new one. `repeats` is the revision of a rollback.

    Raises Conflict where too many have not ended.
    """
    last = latest(found.draft, now=now)
    if last is not None and last.state != Job.State.FAILED:
        return last
    if Job.objects.filter(kind=KIND, finished_at=None).count() >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} replays have not ended yet; try again when one has")
    parameters = {"draft": found.draft, "repeats": repeats}
    label = f"Replay before r{found.number}"
    return jobs.start(kind=KIND, label=label, parameters=parameters, total=found.nodes, user_id=user_id)


def run(job: Job, *, now: Callable[[], datetime.datetime]) -> None:
    """Replay the job's draft node by node, each a step, or until its turn is over; the outcome is `{"replays": […]}`."""
    repeats = job.parameters["repeats"]
    if repeats is None:
        draft = read_draft(on_node=lambda: jobs.heartbeat(job, at=now()))
    else:
        draft = rollback_draft(Revision.objects.get(number=repeats))
    if fingerprint(draft) != job.parameters["draft"]:
        jobs.fail(job, at=now(), failure=_CHANGED)
        return
    began = now()
    done: list[dict[str, Any]] = job.cursor or []
    nodes = changed_nodes(draft)
    for pk in nodes[len(done) :]:
        found = replay_node(draft, pk, now=began, on_day=lambda: jobs.heartbeat(job, at=now()))
        done = [*done, found.document()]
        with transaction.atomic():
            jobs.step(job, cursor=done, done=len(done), at=now())
        if now() >= began + TURN and len(done) < len(nodes):
            jobs.make_way(job)
            return
    jobs.finish(job, at=now(), outcome={"replays": done})


def fingerprint(draft: Draft) -> str:
    """Return what tells this draft from any other: what it would publish, and against what it is compared."""
    based_on = 0 if draft.based_on is None else draft.based_on.number
    return hashlib.sha256(orjson.dumps([based_on, sorted(draft.digests.items())])).hexdigest()
