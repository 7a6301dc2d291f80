"""Alerts, open and ended: the platform's staff see all, an organization's people their own."""

import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from alerts.conditions import CONDITIONS
from alerts.models import Alert, Notice
from core import alerts as set_aside
from panel.dashboard.alerts import SNOOZES
from panel.filters import RecordFilter
from panel.forms.fields import select
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of

# In a list, what the documentation calls them: the whole words would fill a phone's screen.
SHORT = {Alert.Level.BAD: "Bad", Alert.Level.WARN: "Warning", Alert.Level.NOTE: "Note"}
LEVELS = {"Bad": "danger", "Warning": "warning", "Note": "info"}
# Of what was told of an alert, so much is shown.
SHOWN = 20


class StateFilter(SimpleListFilter):
    """Open or ended."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        is_ended = {"open": False, "ended": True}.get(self.value() or "")
        return queryset if is_ended is None else queryset.filter(ended_at__isnull=not is_ended)


class ConditionFilter(SimpleListFilter):
    """By what was found."""

    title = "condition"
    parameter_name = "condition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, condition.title) for name, condition in CONDITIONS.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(condition=self.value()) if self.value() else queryset


class SnoozeForm(ActForm):
    """For how long no reminder is sent."""

    hours = forms.TypedChoiceField(choices=SNOOZES, coerce=int, label="For", widget=select())


@admin.register(Alert)
class AlertAdmin(TenantAdmin):
    """Alerts. They begin and end by themselves; people acknowledge them."""

    has_history = False
    is_added = is_changed = is_deleted = False
    list_display = ["text", "level_label", "since", "ended_at", "condition_title", "whose"]
    list_filter = [StateFilter, "level", ConditionFilter, ("organization", RecordFilter)]
    list_select_related = ["organization"]
    search_fields = ["text"]
    search_help_text = "Words of the alert"
    ordering: ClassVar[Any] = [F("ended_at").desc(nulls_first=True), "-id"]
    fields = ["text", "detail", "condition_title", "severity", "whose", "since", "began_at", "ended_at"]
    readonly_fields = ["condition_title", "severity", "whose"]
    actions_detail = ["acknowledge", "snooze", "take_back"]
    change_form_outer_before_template = "panel/alert/summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return super().get_queryset(request).filter(began_at__isnull=False).select_related("organization")

    @display(description="Condition", ordering="condition")
    def condition_title(self, record: Alert) -> str:
        return title_of(record.condition)

    @display(description="Severity", ordering="level", label=LEVELS)
    def level_label(self, record: Alert) -> str:
        return SHORT[Alert.Level(record.level)]

    @display(description="Severity")
    def severity(self, record: Alert) -> str:
        return record.get_level_display()

    @display(description="Organization", ordering="organization__name_key")
    def whose(self, record: Alert) -> str:
        return str(record.organization or "The platform")

    def summary_of(self, request: HttpRequest, record: Alert) -> dict[str, Any]:
        rows = Notice.objects.filter(alert=record).select_related("channel", "message").order_by("-pk")
        return {"alert": record, "aside": _aside_of(record), "notices": rows[:SHOWN]}

    @act(
        title="Acknowledge",
        description="No reminders are sent for seven days. The end of the alert is still sent.",
        icon="done",
        fits=lambda record: record.ended_at is None,
    )
    def acknowledge(self, request: HttpRequest, record: Alert, form: ActForm) -> str:
        _set_aside(request, record, is_hidden=False, lasts=set_aside.LONGEST)
        return "The alert is acknowledged: no reminders are sent for seven days."

    @act(
        title="Snooze",
        description="No reminders are sent for a time, and the dashboard of the platform hides the alert.",
        form=SnoozeForm,
        icon="snooze",
        fits=lambda record: record.ended_at is None,
    )
    def snooze(self, request: HttpRequest, record: Alert, form: ActForm) -> str:
        hours = form.cleaned_data["hours"]
        _set_aside(request, record, is_hidden=True, lasts=datetime.timedelta(hours=hours))
        return "The alert is snoozed."

    @act(
        title="Remind again",
        description="Acknowledging or snoozing is undone.",
        icon="undo",
        fits=lambda record: _aside_of(record) is not None,
    )
    def take_back(self, request: HttpRequest, record: Alert, form: ActForm) -> str:
        set_aside.take_back(audience=record.audience, key=record.key, actor=actor_of(request))
        return "Reminders are sent again."


def _aside_of(record: Alert) -> Any:
    """Return by whom and until when the alert is acknowledged or snoozed; None: it is not. Asked once."""
    if not hasattr(record, "aside"):
        found = set_aside.in_force(audience=record.audience, at=timezone.now()) if record.ended_at is None else {}
        record.aside = found.get(record.key)  # type: ignore[attr-defined]  # of this page alone, no column
    return record.aside  # type: ignore[attr-defined]  # set above


def title_of(condition: str) -> str:
    """Return the title of a condition; one that no longer exists is shown by its name."""
    known = CONDITIONS.get(condition)
    return known.title if known else condition


def _set_aside(request: HttpRequest, alert: Alert, *, is_hidden: bool, lasts: datetime.timedelta) -> None:
    now = timezone.now()
    set_aside.set_aside(
        audience=alert.audience,
        key=alert.key,
        label=" ".join(alert.text.split()),
        is_hidden=is_hidden,
        until=now + lasts,
        at=now,
        actor=actor_of(request),
    )
