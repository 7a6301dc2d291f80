"""The audit trail: every change by page, API or command, with its actor."""

import datetime
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import formats, timezone
from unfold.decorators import display

from core.models import AuditEntry
from panel import audit_titles, csv_file, history, long_work
from panel.audit_filters import ActFilter, DayFilter, KindFilter, OrganizationFilter, PersonFilter, TimeFilter
from panel.audit_values import NOTHING, Reader
from panel.pages.base import TenantAdmin
from panel.viewer import Viewer

EXPORTED = ("at", "who", "kind of actor", "what", "record", "changes", "request id")
# For more, choose a shorter time.
MOST_EXPORTED = 5_000
# Entries that are held at once: one of a large rule set, or of thousands of addresses, takes a megabyte and more.
_PIECE = 20


@admin.register(AuditEntry)
class AuditEntryAdmin(TenantAdmin):
    """The audit trail, read-only. Members of an organization see the organization's entries."""

    has_history = False
    counted_as = "entries"
    is_added = is_changed = is_deleted = False
    list_display = ["when", "what", "of_what", "who"]
    list_display_links = ["what"]
    unlisted = ("before", "after")
    list_filter = [
        DayFilter, KindFilter, ActFilter, PersonFilter, OrganizationFilter, ("at", TimeFilter), "actor_kind",
    ]  # fmt: skip
    search_fields = ["act__startswith", "actor_label__startswith", "target_label__startswith", "request_id__exact"]
    search_help_text = "Act, person, record or request ID"
    fields = ["exactly_when", "who", "what", "of_what", "of_request"]
    readonly_fields = ["exactly_when", "who", "what", "of_what", "of_request"]
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
        says_itself = record.actor_kind in (AuditEntry.ActorKind.USER, AuditEntry.ActorKind.SYSTEM)
        return (
            record.actor_label if says_itself else f"{record.actor_label} ({record.get_actor_kind_display().lower()})"
        )

    @display(description="What", ordering="act")
    def what(self, record: AuditEntry) -> str:
        return audit_titles.title(record)

    @display(description="Record", ordering="target_label")
    def of_what(self, record: AuditEntry) -> str:
        return record.target_label

    @display(description="Request ID")
    def of_request(self, record: AuditEntry) -> str | None:
        return record.request_id or None

    def summary_of(self, request: HttpRequest, record: AuditEntry) -> dict[str, Any]:
        return {
            "entry": record,
            "differences": Reader(request, [record]).of_entry(record),
            **self._places_of(request, record),
        }

    def _places_of(self, request: HttpRequest, record: AuditEntry) -> dict[str, Any]:
        """Return the URLs of the record and its history, if they exist and the user can view them, and what undoes it."""
        try:
            page: Any = self.admin_site._registry.get(apps.get_model(record.target_type))
        except (LookupError, ValueError):
            return {}
        if page is None or not record.target_id.isdigit() or not page.has_view_permission(request):
            return {}
        # Without what the list counts of it, such as the addresses of a template.
        visible = page.get_queryset(request).filter(pk=record.target_id).values("pk")
        if (found := page.model._default_manager.filter(pk__in=visible).first()) is None:
            return {}
        return {
            "record_url": page.url_of(record.target_id),
            "history_url": page.url_of(record.target_id, "history"),
            "undone_by": history.before_change(page, request, found, record),
        }

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export.csv", view, name="core_auditentry_export"), *super().get_urls()]

    def file_tools(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [("Export", self.export_url(request, "export"))]

    @long_work.few_at_once
    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return a CSV file of the filtered entries, newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        # With what the list leaves out.
        entries = self.filtered(request).get_queryset(request).defer(None)[:MOST_EXPORTED]
        return csv_file.answer("audit-trail.csv", EXPORTED, _rows(request, entries))


def _rows(request: HttpRequest, entries: QuerySet[AuditEntry]) -> Iterator[list[str]]:
    # Read twice: first for the names of what they refer to.
    reader = Reader(request, long_work.in_time(entries.iterator(chunk_size=_PIECE)))
    yield from (_row(entry, reader) for entry in entries.iterator(chunk_size=_PIECE))


def _row(entry: AuditEntry, reader: Reader) -> list[str]:
    differences = "; ".join(
        f"{each.field}: {NOTHING if each.before is None else each.before} → {NOTHING if each.after is None else each.after}"
        for each in reader.of_entry(entry)
    )
    return [
        timezone.localtime(entry.at).isoformat(timespec="seconds"),
        entry.actor_label,
        entry.get_actor_kind_display(),
        audit_titles.title(entry),
        entry.target_label,
        differences,
        entry.request_id,
    ]
