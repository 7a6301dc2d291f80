"""One act on many records of a list: first how many it concerns and what it does, then doing it.

A few are done at once. Many become a Job, which a worker does step by step while its page shows how far it is. Each record is
changed by the same act, in a transaction of its own, as by its own page; what one refuses does not stop the others.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from core import jobs
from core.audit import Actor
from core.errors import Refused
from core.models import Job, User
from panel.formatting import counted
from panel.record_actions import actor_of

KIND = "panel.bulk"
# That many are done within the request.
AT_ONCE = 50
# A step of a job; after each, its page tells how far it is.
STEP = 50
SHOWN = 30
SHOWN_REFUSALS = 20
# Names no record: the person may no longer see it.
FORBIDDEN = "A record was left out, because the person who started this may no longer change it"

# Takes a record, who acts, and by name what the act's form asked for.
type Doing = Callable[..., None]


@dataclass(frozen=True, slots=True)
class BulkAct:
    """An act on one record, as it is done to many."""

    name: str
    model: str
    title: str
    notice: str
    done: str
    do: Doing
    # A `has_…_permission` of the page, asked for each record.
    permission: str = "operate"
    # What it asks for before it is done, once for all.
    form: type[forms.Form] | None = None

    @property
    def records(self) -> Any:
        return apps.get_model(self.model)._default_manager


ACTS: dict[str, BulkAct] = {}


def bulk_act(
    *,
    model: str,
    title: str,
    notice: str,
    done: str,
    permission: str = "operate",
    form: type[forms.Form] | None = None,
) -> Callable[[Doing], Doing]:
    """Make a function `(record, actor)` an act on many; its name is what jobs know it by.

    What `form` asks for comes by name, as JSON has it: a time is its ISO text.
    """

    def register(do: Doing) -> Doing:
        ACTS[do.__name__] = BulkAct(do.__name__, model, title, notice, done, do, permission, form)
        return do

    return register


def action(do: Doing) -> Callable[..., HttpResponse | None]:
    """Return the admin action of an act on many, for a page's `actions`."""
    found = ACTS[do.__name__]

    @admin.action(description=found.title, permissions=[found.permission])
    def chosen(page: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        return _look_or_do(found, page, request, queryset)

    chosen.__name__ = found.name
    return chosen


def _look_or_do(found: BulkAct, page: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
    ids = sorted(queryset.values_list("pk", flat=True))
    allowed = list(page.allowed_ids(request, ids, found.permission))
    if not allowed:
        raise PermissionDenied
    is_confirmed = "confirmed" in request.POST
    form = found.form(request.POST if is_confirmed else None) if found.form else None
    if is_confirmed and (form is None or form.is_valid()):
        return _do(found, page, request, allowed, _values_of(form))
    names = [str(each) for each in found.records.filter(pk__in=allowed[:SHOWN])]
    refused = len(ids) - len(allowed)
    notice = found.notice
    if refused:
        notice += f" {counted(refused, 'record is', 'records are')} left out, because you may not change them."
    context = {
        **page.admin_site.each_context(request),
        "title": found.title,
        "opts": page.opts,
        "action": request.get_full_path(),
        "heading": f"{found.title}: {counted(len(allowed), 'record', 'records')}",
        "notice": notice,
        "shown": names,
        "more": len(allowed) - len(names),
        "hidden": [
            ("action", found.name),
            ("select_across", request.POST.get("select_across", "0")),
            *((helpers.ACTION_CHECKBOX_NAME, each) for each in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)),
        ],
        "form": form,
        "submit": f"{found.title} ({len(allowed):,})",
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "panel/confirm.html", context)


def _values_of(form: forms.Form | None) -> dict[str, Any]:
    """Return what was asked for as JSON has it, because it may go along with a job."""
    given = {} if form is None else form.cleaned_data
    return {name: value.isoformat() if isinstance(value, datetime.datetime) else value for name, value in given.items()}


def _do(found: BulkAct, page: Any, request: HttpRequest, ids: list[int], values: dict[str, Any]) -> HttpResponse | None:
    if len(ids) > AT_ONCE:
        return _start(found, page, request, ids, values)
    refusals = apply(found, ids, actor_of(request), values)
    total = len(ids) - len(refusals)
    if total:
        messages.success(request, f"{counted(total, 'record', 'records')} {found.done}.")
    for refusal in refusals[:SHOWN_REFUSALS]:
        messages.error(request, refusal)
    return None


def _start(found: BulkAct, page: Any, request: HttpRequest, ids: list[int], values: dict[str, Any]) -> HttpResponse:
    from panel.tasks import run_bulk_acts

    actor = actor_of(request)
    with transaction.atomic():
        job = jobs.start(
            kind=KIND,
            label=f"{found.title}: {counted(len(ids), 'record', 'records')}",
            parameters={
                "act": found.name,
                "ids": ids,
                "actor": [actor.kind, actor.id, actor.label],
                "values": values,
            },
            total=len(ids),
            user_id=request.user.pk,
        )
        # Only a poke: the schedule finds the job all the same.
        transaction.on_commit(run_bulk_acts.delay)
    messages.info(request, "It goes on in the background; this page tells how far it is.")
    return HttpResponseRedirect(reverse("admin:core_job_change", args=[job.pk]))


def apply(found: BulkAct, ids: list[int], actor: Actor, values: Mapping[str, Any] | None = None) -> list[str]:
    """Do the act to each record that is still there, and return what was refused. `values`: what its form asked for."""
    refusals = []
    for record in found.records.filter(pk__in=ids).order_by("pk"):
        try:
            with transaction.atomic():
                found.do(record, actor, **(values or {}))
        except Refused as refusal:
            refusals.append(f"{record}: {refusal.message}")
    return refusals


def _page_of(found: BulkAct) -> Any:
    return admin.site._registry[apps.get_model(found.model)]


def _existing(found: BulkAct, ids: list[int]) -> int:
    return found.records.filter(pk__in=ids).count()


def _request_of(job: Job) -> HttpRequest | None:
    """Return a request in the name of who started the job, whose rights are read anew; None where they may not sign in.

    It was a session with a second factor, where the account has one, that started the job.
    """
    user: Any = User.objects.filter(pk=job.user_id, is_active=True, is_staff=True).first()
    if user is None:
        return None
    user.is_verified = lambda: True
    request = HttpRequest()
    request.user = user
    return request


def run(job: Job, *, now: Callable[[], Any]) -> None:
    """Do a job from where it stands to its end. What its starter may do is asked anew at every step."""
    found = ACTS.get(job.parameters.get("act", ""))
    if found is None:
        jobs.fail(job, at=now(), failure="This version of Sluice does not know the act")
        return
    kind, actor_id, label = job.parameters["actor"]
    actor, ids, values = Actor(kind, actor_id, label), job.parameters["ids"], job.parameters.get("values", {})
    state = job.cursor or {"done": 0, "refusals": [], "refused": 0}
    while state["done"] < len(ids):
        batch = ids[state["done"] : state["done"] + STEP]
        with transaction.atomic():
            # Rights may have been taken away since the job began, or since its last step.
            request = _request_of(job)
            allowed = [] if request is None else _page_of(found).allowed_ids(request, batch, found.permission)
            refusals = apply(found, allowed, actor, values)
            refusals += [FORBIDDEN] * (_existing(found, batch) - len(allowed))
            state = {
                "done": state["done"] + len(batch),
                "refused": state["refused"] + len(refusals),
                "refusals": [*state["refusals"], *refusals][:SHOWN_REFUSALS],
            }
            jobs.step(job, cursor=state, done=state["done"], at=now())
    outcome = {"done": len(ids) - state["refused"], "refused": state["refused"], "refusals": state["refusals"]}
    jobs.finish(job, at=now(), outcome=outcome)
