"""The audit trail: every change, whoever made it and by whatever door."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from core.models import AuditEntry
from panel import history
from panel.base import TenantAdmin
from panel.viewer import Viewer


@admin.register(AuditEntry)
class AuditEntryAdmin(TenantAdmin):
    """The audit trail, to be read. People of an organization see what was done in its name."""

    is_added = is_changed = is_deleted = False
    list_display = ["at", "actor_label", "actor_kind", "act", "target_label"]
    list_display_links = ["act"]
    list_filter = [("at", RangeDateTimeFilter), "actor_kind"]
    search_fields = ["act__startswith", "actor_label__startswith", "target_label__startswith", "request_id__exact"]
    search_help_text = "The beginning of an act, a person or a record, or a request id"
    fields = ["at", "actor_label", "actor_kind", "act", "target_type", "target_label", "changes", "request_id"]
    readonly_fields = ["changes"]

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.is_platform else records.filter(organization_id__in=list(viewer.roles))

    def organization_id_of(self, record: Any) -> int | None:
        return record.organization_id

    @display(description="Changes")
    def changes(self, record: AuditEntry) -> SafeString | str:
        found = history.differences(AuditEntry, record.before, record.after)
        if not found:
            return "No field changed."
        lines = ((each.field, each.before, each.after) for each in found)
        return format_html_join("", "<div><b>{}</b>: {} → {}</div>", lines)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        # What tells of others has no history of its own.
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
