"""Former permalinks: what organizations were called before, and what is held back for them."""

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
    """Former permalinks. Renaming an organization writes them; the platform releases one before its time."""

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

    @display(description="State", label={"held back": "warning", "free": "default", "taken": "default"})
    def state(self, record: Any) -> str:
        if record.is_held(timezone.now()):
            return "held back"
        return "taken" if record.holder else "free"

    @display(description="Has it now")
    def has_it_now(self, record: Any) -> str:
        return record.holder or "—"

    @act(
        title="Release",
        description="Any organization can take it from now on. Programs and collectors that still say it are told that there is"
        " no such server, until another organization takes it: then it means that one's servers.",
        icon="lock_open",
        fits=lambda record: record.is_held(timezone.now()),
    )
    def release(self, request: HttpRequest, record: FormerPermalink, form: ActForm) -> str:
        permalinks.release(former=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is free."
