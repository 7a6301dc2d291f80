"""List actions on many records: a confirmation page first, then the action.

A few are done at once. Many become a Job, which a worker does step by step while its page shows how far it is. Each record is
changed by the same act, in a transaction of its own, as by its own page; what one refuses does not stop the others.
"""

import datetime
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from core import jobs
from core.models import Job
from core.texts import counted
from panel.bulk.registry import ACTS, BulkAct, Doing, apply
from panel.bulk.running import KIND, SHOWN_REFUSALS
from panel.record_actions import actor_of
from panel.tasks import run_bulk_acts
from panel.viewer import viewer_of

# That many are done within the request.
AT_ONCE = 50
# Records of one act, and jobs of one person that have not ended.
MOST_RECORDS = 20_000
MOST_OPEN = 10
SHOWN = 30
NOTHING_LEFT = "Nothing was changed: none of the chosen records is in this list any longer."
SHOWN_AGAIN = "Nothing was changed yet: the list has other records than those that were shown. Look at them again."


def action(do: Doing) -> Callable[..., HttpResponse | None]:
    """Return the admin action of a bulk act, for a page's `actions`."""
    found = ACTS[do.__name__]

    @admin.action(description=found.title, permissions=[found.permission])
    def chosen(page: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        return _look_or_do(found, page, request, queryset)

    chosen.__name__ = found.name
    return chosen


def _look_or_do(found: BulkAct, page: Any, request: HttpRequest, queryset: Any) -> HttpResponse | None:
    ids = sorted(queryset.order_by().values_list("pk", flat=True)[: MOST_RECORDS + 1])
    if len(ids) > MOST_RECORDS:
        messages.error(request, f"At most {found.counted(MOST_RECORDS)} can be chosen at once: filter the list.")
        return None
    if not ids:
        # The confirmation was sent twice, or somebody else was first.
        messages.warning(request, NOTHING_LEFT)
        return None
    allowed = list(page.allowed_ids(request, ids, found.permission))
    if not allowed:
        raise PermissionDenied
    is_confirmed, mark = "confirmed" in request.POST, _mark_of(allowed)
    is_all = request.POST.get("select_across", "0") == "1"
    if is_confirmed and is_all and request.POST.get("looked_at") != mark:
        messages.warning(request, SHOWN_AGAIN)
        is_confirmed = False
    form = found.form(request.POST if is_confirmed else None) if found.form else None
    if is_confirmed and (form is None or form.is_valid()):
        return _do(found, page, request, allowed, _values_of(form))
    shown = found.records.filter(pk__in=allowed[:SHOWN]).select_related(*page.choice_related)
    names = [page.choice_label(each) for each in shown]
    refused = len(ids) - len(allowed)
    notice = found.notice
    if refused:
        notice += f" {counted(refused, 'other is', 'others are')} skipped, because you may not change them."
    context = {
        **page.admin_site.each_context(request),
        "title": found.title,
        "opts": page.opts,
        "action": request.get_full_path(),
        "heading": f"{found.title}: {found.counted(len(allowed))}",
        "notice": notice,
        "shown": names,
        "more": len(allowed) - len(names),
        "hidden": [
            ("action", found.name),
            ("select_across", request.POST.get("select_across", "0")),
            ("looked_at", mark),
            *((helpers.ACTION_CHECKBOX_NAME, each) for each in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)),
        ],
        "form": form,
        "submit": f"{found.title} ({len(allowed):,})",
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "panel/confirm.html", context)


def _mark_of(ids: Sequence[int]) -> str:
    """Return what a confirmation has of the records that were shown: of a whole list, others may be in it by then."""
    return hashlib.sha256(repr(ids).encode()).hexdigest()


def _values_of(form: forms.Form | None) -> dict[str, Any]:
    """Return the form's values as JSON values, to store them with a job."""
    given = {} if form is None else form.cleaned_data
    return {name: value.isoformat() if isinstance(value, datetime.datetime) else value for name, value in given.items()}


def _do(found: BulkAct, page: Any, request: HttpRequest, ids: list[int], values: dict[str, Any]) -> HttpResponse | None:
    if len(ids) > AT_ONCE:
        return _start(found, page, request, ids, values)
    refusals = apply(found, ids, actor_of(request), values, label=page.choice_label)
    total = len(ids) - len(refusals)
    if total:
        messages.success(request, f"{found.counted(total)} {found.done}.")
    for refusal in refusals[:SHOWN_REFUSALS]:
        messages.error(request, refusal)
    return None


def _start(
    found: BulkAct, page: Any, request: HttpRequest, ids: list[int], values: dict[str, Any]
) -> HttpResponse | None:
    shares = _by_organization(found, page, request, ids)
    unended = Job.objects.filter(kind=KIND, user_id=request.user.pk, finished_at=None).count()
    # Who belongs to many organizations may begin all at once where nothing waits.
    if unended and unended + len(shares) > MOST_OPEN:
        messages.error(request, f"{MOST_OPEN} of your jobs have not ended yet. Try again when one has.")
        return None
    actor = actor_of(request)
    with transaction.atomic():
        made = [
            jobs.start(
                kind=KIND,
                label=f"{found.title}: {found.counted(len(share))}",
                parameters={
                    "act": found.name,
                    "ids": share,
                    "actor": [actor.kind, actor.id, actor.label],
                    "values": values,
                },
                total=len(share),
                organization_id=organization_id,
                user_id=request.user.pk,
            )
            for organization_id, share in shares.items()
        ]
        # Only a reminder: the schedule finds the jobs all the same.
        transaction.on_commit(run_bulk_acts.delay)
    if len(made) > 1:
        messages.info(request, f"It runs in the background, as {len(made)} jobs: one for each organization.")
        return HttpResponseRedirect(reverse("admin:core_job_changelist"))
    messages.info(request, "It runs in the background; this page shows its progress.")
    return HttpResponseRedirect(reverse("admin:core_job_change", args=[made[0].pk]))


def _by_organization(found: BulkAct, page: Any, request: HttpRequest, ids: list[int]) -> dict[int | None, list[int]]:
    """Return the records by organization, whose people see its job; those of the platform's staff as one, for the platform."""
    if viewer_of(request).is_platform:
        return {None: ids}
    shares: dict[int | None, list[int]] = {}
    owners = found.records.filter(pk__in=ids).order_by("pk").values_list(f"{page.organization_path}_id", "pk")
    for organization_id, pk in owners:
        shares.setdefault(organization_id, []).append(pk)
    return shares
