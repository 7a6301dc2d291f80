"""Background jobs and their progress."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from core.models import Job
from panel.pages.base import TenantAdmin
from panel.viewer import Viewer


@admin.register(Job)
class JobAdmin(TenantAdmin):
    """Jobs. People see those of their organizations, whoever started them: who has left sees none any more."""

    has_history = False
    is_added = is_changed = is_deleted = False
    list_display = ["label", "state_label", "progress", "created_at", "finished_at"]
    list_filter = ["state"]
    fields = ["created_at", "heartbeat_at", "finished_at"]
    change_form_outer_before_template = "panel/job.html"

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        if viewer.is_platform:
            return records
        return records.filter(organization_id__in=list(viewer.roles))

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        # The list shows only what the person may see.
        return verb == "view" and bool(viewer.roles)

    @display(
        description="State",
        label={"Waiting": "default", "Running": "info", "Done": "success", "Failed": "danger"},
    )
    def state_label(self, record: Job) -> str:
        return record.get_state_display()

    @display(description="Progress")
    def progress(self, record: Job) -> str:
        if record.progress_total is None:
            return f"{record.progress_done:,}"
        return f"{record.progress_done:,} of {record.progress_total:,}"

    def summary_of(self, request: HttpRequest, record: Job) -> dict[str, Any]:
        total = record.progress_total
        return {
            "job": record,
            "percent": None if not total else round(100 * record.progress_done / total),
            "is_open": record.finished_at is None,
            "outcome": record.outcome if isinstance(record.outcome, dict) else {},
        }
