"""Revisions: what was published, by whom and on which nodes; publishing and rolling back."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.decorators import action, display

from core.errors import Refused
from core.models import AuditEntry, Job
from nodes import preview, publication_jobs, publishing, replay_jobs
from nodes.models import Node, NodeReport, Revision, RevisionPolicy
from nodes.policy.platform import is_large
from nodes.tasks import run_publications, run_replays
from panel import audit_titles
from panel.formatting import moment
from panel.forms import errors
from panel.pages import trial
from panel.pages.base import ReadOnlyAdmin
from panel.record_actions import actor_of
from panel.viewer import viewer_of


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    """Revisions, newest first."""

    has_history = True
    list_display = ["name", "kind", "published_at", "by", "change_count", "where_applied"]
    list_filter = ["kind"]
    search_fields = ["number", "actor_label"]
    search_help_text = "Number or name"
    fields = ["kind", "when", "by", "repeats", "digest"]
    readonly_fields = ["by", "when"]
    actions_list = ["publish_button"]
    list_before_template = "panel/revision/trial.html"
    change_form_outer_before_template = "panel/revision/summary.html"

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        ids = [record.pk for record in records]
        total = Counter(RevisionPolicy.objects.filter(revision__in=ids).values_list("revision_id", flat=True))
        applied = Counter(
            NodeReport.objects.filter(revision_applied__in=[record.number for record in records])
            .order_by()
            .values_list("revision_applied", flat=True)
        )
        wanted = Counter(Node.objects.filter(revision__in=ids).order_by().values_list("revision_id", flat=True))
        for record in records:
            record.node_total = total[record.pk]
            record.applied_total = applied[record.number]
            record.is_wanted = bool(wanted[record.pk])

    @display(description="Revision", ordering="number")
    def name(self, record: Revision) -> str:
        return str(record)

    @display(description="Published", ordering="created_at")
    def published_at(self, record: Revision) -> Any:
        return record.created_at

    @display(description="Published")
    def when(self, record: Revision) -> str:
        return moment(record.created_at)

    @display(description="Published by", ordering="actor_label")
    def by(self, record: Revision) -> str:
        return record.actor_label

    @display(description="Changes")
    def change_count(self, record: Revision) -> int:
        return int(record.changes.get("count", 0))

    @display(description="Applied")
    def where_applied(self, record: Any) -> str:
        told = f"{record.applied_total} of {record.node_total} nodes"
        return told if record.is_wanted else f"{told} (superseded)"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Only what publishes an earlier revision again repeats one.
        return [name for name in self.fields or () if name != "repeats" or obj is None or obj.repeats is not None]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        found = trial.running(now=timezone.now())
        return super().changelist_view(request, {**(extra_context or {}), "trial": found})

    @action(description="Publish", url_path="publish-button", permissions=["publish"])
    def publish_button(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the preview, which has the publish button."""
        return HttpResponseRedirect(reverse("admin:nodes_revision_publish"))

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the user can publish."""
        return self.has_operate_permission(request)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("publish/", wrap(self.publish_view), name="nodes_revision_publish"),
            path("<path:object_id>/again/", wrap(self.again_view), name="nodes_revision_again"),
            *super().get_urls(),
        ]

    def summary_of(self, request: HttpRequest, record: Revision) -> dict[str, Any]:
        may_publish = self.has_publish_permission(request)
        reports = {each.node_id: each for each in NodeReport.objects.defer("body")}
        policies = RevisionPolicy.objects.filter(revision=record).select_related("policy").order_by("policy__node_name")
        rows = [
            {
                "name": each.policy.node_name,
                "kind": Node.Kind(each.policy.kind).label,
                "since": each.policy.number,
                "applied": reports[each.policy.node_id].revision_applied if each.policy.node_id in reports else None,
            }
            for each in policies
        ]
        return {
            "revision": record,
            "newest": [_in_words(each) for each in record.changes.get("newest", ())],
            "rows": rows,
            "applied_total": sum(row["applied"] == record.number for row in rows),
            "changed": preview.changes_of(record, most=publication_jobs.MOST_SHOWN),
            "again_url": self.url_of(record.pk, "again") if may_publish and record.pk != _newest() else "",
        }

    def publish_view(self, request: HttpRequest) -> HttpResponse:
        """Preview publishing, then publish."""
        if not self.has_publish_permission(request):
            raise PermissionDenied
        form = trial.TrialForm(request.POST if request.method == "POST" else None)
        if (answer := self._asked_of_worker(request)) is not None:
            return answer
        if form.is_valid():
            return self._publish(request, trial=form.trial)
        notice = "Every node gets the current configuration."
        if publishing.is_held():
            notice += " An earlier revision was published again, so changes are not published automatically until you publish."
        elif settings.SLUICE_PUBLISH == publishing.AUTOMATIC:
            notice += " Changes are published automatically within seconds."
        if (running := trial.running(now=timezone.now())) is not None:
            notice = f"All nodes get the current configuration, which ends the trial of {running['revision']}."
        return self._page(request, "Publish", notice, form=form if trial.may_begin() else None)

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Preview publishing an earlier revision again, then publish it."""
        record = self.record_for(request, object_id, "publish")
        if record.pk == _newest():
            messages.error(request, f"Not published. The revision {record.number} is the newest one.")
            return HttpResponseRedirect(self.url_of(record.pk))
        if (answer := self._asked_of_worker(request, repeats=record)) is not None:
            return answer
        if request.method == "POST":
            return self._publish(request, repeats=record.number)
        notice = (
            f"Every node gets its policy of r{record.number} again, under a new number. The configuration in the panel is kept;"
            " changes are not published automatically until you publish."
        )
        return self._page(request, f"Publish r{record.number} again", notice, repeats=record)

    def _asked_of_worker(self, request: HttpRequest, *, repeats: Revision | None = None) -> HttpResponse | None:
        """Request the replay or the preview that was asked for; None: neither was."""
        number, now = None if repeats is None else repeats.number, timezone.now()
        if "replay" in request.POST and (found := _replayed(repeats)) is not None:
            return self._requested(
                request,
                lambda: replay_jobs.request_replay(found, repeats=number, user_id=request.user.pk, now=now),
                run_replays,
            )
        if "preview" in request.POST:
            return self._requested(
                request,
                lambda: publication_jobs.request_preview(repeats=number, user=viewer_of(request).user, now=now),
                run_publications,
            )
        return None

    def _requested(self, request: HttpRequest, start: Callable[[], Job], task: Any) -> HttpResponse:
        try:
            with transaction.atomic():
                start()
                # Only a reminder: the schedule finds the job all the same.
                transaction.on_commit(task.delay)
        except Refused as refusal:
            messages.error(request, f"Not requested. {errors.sentence(refusal.message)}.")
        return HttpResponseRedirect(request.path)

    def _publish(
        self, request: HttpRequest, *, repeats: int | None = None, trial: publishing.Trial | None = None
    ) -> HttpResponse:
        """Publish; on a large platform, let a worker publish, and show the job."""
        now = timezone.now()
        try:
            if is_large():
                with transaction.atomic():
                    job = publication_jobs.request_publication(
                        repeats=repeats, trial=trial, user=viewer_of(request).user
                    )
                    transaction.on_commit(run_publications.delay)
                return HttpResponseRedirect(reverse("admin:core_job_change", args=[job.pk]))
            if repeats is None:
                revision = publishing.publish(actor=actor_of(request), now=now, trial=trial)
            else:
                revision = publishing.roll_back(number=repeats, actor=actor_of(request), now=now)
        except Refused as refusal:
            messages.error(request, f"Not published. {errors.sentence(refusal.message)}.")
            return HttpResponseRedirect(reverse("admin:nodes_revision_changelist"))
        first = revision.kind == Revision.Kind.CANARY
        messages.success(request, f"{revision} is on trial." if first else f"{revision} is published.")
        return HttpResponseRedirect(self.url_of(revision.pk))

    def _page(
        self,
        request: HttpRequest,
        title: str,
        notice: str,
        *,
        repeats: Revision | None = None,
        form: trial.TrialForm | None = None,
    ) -> HttpResponse:
        shown = self._made_by_worker(repeats) if is_large() else self._made_here(repeats)
        context = {
            **self.admin_site.each_context(request),
            **shown,
            "title": title,
            "opts": self.opts,
            "notice": notice,
            "trial_form": form,
            "submit": title,
            "back": reverse("admin:nodes_revision_changelist"),
        }
        return TemplateResponse(request, "panel/revision/publish.html", context)

    def _made_here(self, repeats: Revision | None) -> dict[str, Any]:
        draft = _draft(repeats)
        return {"preview": preview.preview(draft), **_replay_of(replay_jobs.fingerprint(draft))}

    def _made_by_worker(self, repeats: Revision | None) -> dict[str, Any]:
        """Return the newest preview that a worker made, and whether one is being made."""
        number = None if repeats is None else repeats.number
        job = publication_jobs.latest_preview(repeats=number, now=timezone.now())
        publication = publication_jobs.open_publication()
        return {
            "is_large": True,
            "preview_job": job,
            "is_previewing": job is not None and job.finished_at is None,
            "preview": None if job is None or not job.outcome else _as_shown(job.outcome["preview"]),
            "publication_url": "" if publication is None else reverse("admin:core_job_change", args=[publication.pk]),
            **(_replay_of(job.outcome["replay"]["draft"]) if job is not None and job.outcome else {}),
        }


def _draft(repeats: Revision | None) -> publishing.Draft:
    return publishing.read_draft() if repeats is None else publishing.rollback_draft(repeats)


def _replayed(repeats: Revision | None) -> replay_jobs.Replayed | None:
    """Return what is to be replayed; on a large platform what the newest preview has compared. None: there is none."""
    if not is_large():
        return replay_jobs.replayed(_draft(repeats))
    number = None if repeats is None else repeats.number
    job = publication_jobs.latest_preview(repeats=number, now=timezone.now())
    return None if job is None or not job.outcome else replay_jobs.Replayed(**job.outcome["replay"])


def _replay_of(draft: str) -> dict[str, Any]:
    job = replay_jobs.latest(draft, now=timezone.now())
    return {
        "replay_job": job,
        "is_replaying": job is not None and job.finished_at is None,
        "replays": _replays(job),
    }


def _as_shown(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored preview with the names of the template."""
    nodes = [
        {
            **each,
            "kind_name": Node.Kind(each["kind"]).label,
            "sentences": each["changes"],
            "new_findings": each["fidelity"],
        }
        for each in stored["nodes"]
    ]
    return {**stored, "nodes": nodes}


def _newest() -> int | None:
    return Revision.objects.order_by("-number").values_list("pk", flat=True).first()


def _replays(job: Any) -> list[dict[str, Any]]:
    """Return what a replay found on each node; `since` was stored as text."""
    outcome = job.outcome if job is not None and job.outcome else {}
    return [{**each, "since": parse_datetime(each["since"])} for each in outcome.get("replays", ())]


def _in_words(change: dict[str, Any]) -> dict[str, Any]:
    """Return a change as the audit trail's list shows it; `at` was stored as text."""
    entry = AuditEntry(act=change["act"], target_type=change.get("type", ""))
    return {**change, "at": parse_datetime(str(change["at"])), "what": audit_titles.title(entry)}
