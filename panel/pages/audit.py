"""The audit trail: every change, whoever made it and by whatever door."""

import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from core.models import AuditEntry
from panel.audit_values import Reader
from panel.pages.base import TenantAdmin
from panel.viewer import Viewer


@admin.register(AuditEntry)
class AuditEntryAdmin(TenantAdmin):
    """The audit trail, to be read. People of an organization see what was done in its name."""

    is_added = is_changed = is_deleted = False
    list_display = ["when", "who", "act", "of_what"]
    list_display_links = ["act"]
    list_filter = [("at", RangeDateTimeFilter), "actor_kind"]
    search_fields = ["act__startswith", "actor_label__startswith", "target_label__startswith", "request_id__exact"]
    search_help_text = "The beginning of an act, a person or a record, or a request id"
    fields = ["exactly_when", "who", "act", "of_what", "request_id"]
    readonly_fields = ["exactly_when", "who", "of_what"]
    change_form_outer_after_template = "panel/audit.html"

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.is_platform else records.filter(organization_id__in=list(viewer.roles))

    def organization_id_of(self, record: Any) -> int | None:
        return record.organization_id

    @display(description="When", ordering="id")
    def when(self, record: AuditEntry) -> datetime.datetime:
        return record.at

    @display(description="When")
    def exactly_when(self, record: AuditEntry) -> str:
        """Return the time to the second, in the reader's time zone: Django formats a method's time in lists alone."""
        return formats.date_format(timezone.localtime(record.at), "j M Y, H:i:s")

    @display(description="Who", ordering="actor_label")
    def who(self, record: AuditEntry) -> str:
        is_person = record.actor_kind == AuditEntry.ActorKind.USER
        return record.actor_label if is_person else f"{record.actor_label} ({record.get_actor_kind_display().lower()})"

    @display(description="Of what", ordering="target_label")
    def of_what(self, record: AuditEntry) -> str:
        return f"{_noun(record.target_type)} {record.target_label}"

    def summary_of(self, request: HttpRequest, record: AuditEntry) -> dict[str, Any]:
        return {"entry": record, "differences": Reader(request, [record]).of_entry(record)}

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        # What tells of others has no history of its own.
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)


def _noun(label: str) -> str:
    """Return what records of a model are called; the trail outlives models."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label.rpartition(".")[2]
