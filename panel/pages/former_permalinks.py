"""Former permalinks of organizations, and their reservations."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from panel.filters import RecordFilter
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from servers import permalinks
from servers.models import FormerPermalink, Organization


@admin.register(FormerPermalink)
class FormerPermalinkAdmin(PanelAdmin):
    """Former permalinks. Renaming an organization creates them; the platform can release one early."""

    is_added = is_changed = is_deleted = False
    list_display = ["permalink", "organization", "since", "until", "state", "held_until", "has_it_now"]
    list_filter = [("organization", RecordFilter)]
    list_select_related = ["organization"]
    search_fields = ["permalink", "organization__name_key"]
    search_help_text = "Permalink or organization"
    fields = ["permalink", "organization", "since", "until", "state", "held_until", "has_it_now"]
    readonly_fields = ["state", "has_it_now"]
    actions_detail = ["release"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        holders = Organization.objects.filter(permalink=OuterRef("permalink")).order_by().values("name")
        return super().get_queryset(request).annotate(holder=Subquery(holders[:1]))

    @display(description="State", label={"reserved": "warning", "free": "default", "taken": "default"})
    def state(self, record: Any) -> str:
        if record.is_held(timezone.now()):
            return "reserved"
        return "taken" if record.holder else "free"

    @display(description="Current holder")
    def has_it_now(self, record: Any) -> str:
        return record.holder or "—"

    @act(
        title="Release",
        description="Any organization can take it from now on. Events that still contain it are refused as unknown_server,"
        " until another organization takes it; then it refers to that organization's servers.",
        icon="lock_open",
        fits=lambda record: record.is_held(timezone.now()),
    )
    def release(self, request: HttpRequest, record: FormerPermalink, form: ActForm) -> str:
        permalinks.release(former=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is free."
