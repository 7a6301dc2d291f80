"""Runs a bulk action as a job in steps, each with the current permissions of the user who started it."""

import datetime
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from core import jobs
from core.audit import Actor
from core.models import Job, User
from panel.bulk.registry import ACTS, BulkAct, apply

KIND = "panel.bulk"
# A step of a job; after each, its page tells how far it is.
STEP = 50
# So long a job goes on before it is another person's turn.
TURN = datetime.timedelta(seconds=5)
SHOWN_REFUSALS = 20
# Names no record: the person may no longer see it.
FORBIDDEN = "A record was skipped, because the person who started this may no longer change it"


def _page_of(found: BulkAct) -> Any:
    return admin.site._registry[apps.get_model(found.model)]


def _existing(found: BulkAct, ids: list[int]) -> int:
    return found.records.filter(pk__in=ids).count()


def _request_of(job: Job) -> HttpRequest | None:
    """Return a request as the user who started the job, with current permissions; None if they cannot sign in.

    It was a session with a second factor, where the account has one, that started the job.
    """
    if job.user_id is None:
        return None
    user: Any = User.objects.filter(pk=job.user_id, is_active=True, is_staff=True).first()
    if user is None:
        return None
    user.is_verified = lambda: True
    request = HttpRequest()
    request.user = user
    return request


def run(job: Job, *, now: Callable[[], Any]) -> None:
    """Run a job from its cursor to its end, or until its turn is over.

    The permissions of the user who started it are checked at every step.
    """
    found = ACTS.get(job.parameters.get("act", ""))
    if found is None:
        jobs.fail(job, at=now(), failure="This version of Sluice does not know the act")
        return
    kind, actor_id, label = job.parameters["actor"]
    actor, ids, values = Actor(kind, actor_id, label), job.parameters["ids"], job.parameters.get("values", {})
    state = job.cursor or {"done": 0, "refusals": [], "refused": 0}
    end = now() + TURN
    while state["done"] < len(ids):
        batch = ids[state["done"] : state["done"] + STEP]
        with transaction.atomic():
            # Rights may have been taken away since the job began, or since its last step.
            request = _request_of(job)
            page = _page_of(found)
            allowed = [] if request is None else page.allowed_ids(request, batch, found.permission)
            refusals = apply(found, allowed, actor, values, label=page.choice_label)
            refusals += [FORBIDDEN] * (_existing(found, batch) - len(allowed))
            state = {
                "done": state["done"] + len(batch),
                "refused": state["refused"] + len(refusals),
                "refusals": [*state["refusals"], *refusals][:SHOWN_REFUSALS],
            }
            jobs.step(job, cursor=state, done=state["done"], at=now())
        if now() >= end and state["done"] < len(ids):
            jobs.make_way(job)
            return
    outcome = {"done": len(ids) - state["refused"], "refused": state["refused"], "refusals": state["refusals"]}
    jobs.finish(job, at=now(), outcome=outcome)
