"""Event sources: format, token, accepted and refused events, and mapped texts."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import formats, timezone
from django.utils.html import format_html_join
from unfold.decorators import display
from unfold.enums import ActionVariant

from panel import revealed_keys
from panel.alert_filter import AlertFilter
from panel.filters import by_emptiness
from panel.forms.base import ActingForm
from panel.forms.fields import text_area, text_input, time_zone_field
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from servers.models import Server
from servers.smtp_users import smtp_user_of
from stats.intake import event_sources, source_counts
from stats.models import EventSource, SourceSample

SHOWN_ONCE = "Copy it now: it is not stored and cannot be shown again. Events are posted to /api/v1/events/<token>."
# A source that has reported before, and is silent for this long, is shown as silent.
SILENT_AFTER = datetime.timedelta(hours=1)


class EventSourceForm(ActingForm):
    """A source's own fields; its format is chosen once."""

    time_zone = time_zone_field()
    tenant_field = forms.CharField(
        required=False,
        max_length=200,
        widget=text_input(),
        help_text="The field that names the server, such as meta.tenant, unique_args.tenant or a header's name.",
    )
    verification_key = forms.CharField(
        required=False,
        widget=text_area(rows=6),
        help_text="For Postal, SES and SendGrid: the public key or certificate that verifies signatures. If empty, only "
        "the token authenticates.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit_choices("default_server", Server.objects.living().select_related("organization"))

    def act(self) -> EventSource:
        values = dict(self.cleaned_data)
        if not self.is_new:
            return event_sources.change_source(source=self.instance, actor=self.actor, **values)
        made = event_sources.make_source(actor=self.actor, **values)
        self.secrets = {"Token": made.token}
        return made.source


class MappingForm(ActForm):
    """A text and its server; no server removes the mapping."""

    text = forms.CharField(
        max_length=255, widget=text_input(), help_text="A tenant, VirtualMTA, queue, campaign or mail class."
    )
    server = forms.CharField(
        required=False,
        max_length=200,
        widget=text_input(),
        help_text="organization/server, or a UUID. Leave empty to remove the mapping.",
    )


@admin.register(EventSource)
class EventSourceAdmin(PanelAdmin):
    """Event sources. They are revoked, not deleted, because their counts refer to them."""

    form = EventSourceForm
    is_deleted = False
    list_display = ["name", "format", "state_label", "accepted_lately", "refused_lately", "last_event", "lag"]
    list_filter = [
        AlertFilter,
        "format",
        "is_active",
        ("revoked_at", by_emptiness("state", empty="Not revoked", filled="Revoked")),
    ]
    search_fields = ["name_key", "key_prefix"]
    search_help_text = "Name, or beginning of a token"
    autocomplete_fields = ["default_server"]
    add_fieldsets = (
        (
            None,
            {"fields": ["name", "format", "time_zone", "tenant_field", "default_server", "verification_key"]},
        ),
    )
    fieldsets = (
        (
            None,
            {
                "fields": [
                    "name", "format", "is_active", "time_zone", "tenant_field", "default_server", "verification_key",
                    "mapped_texts", "key_start", "last_used_at",
                ]
            },
        ),
        (
            "The last 24 hours",
            {"fields": ["silence", "totals", "rate", "last", "lag", "reasons", "samples"]},
        ),
    )  # fmt: skip
    readonly_fields = [
        "format", "mapped_texts", "key_start", "last_used_at", "silence", "totals", "rate", "last", "lag", "reasons", "samples",
    ]  # fmt: skip
    actions_detail = ["map_text", "rotate", "revoke"]
    shown_once_title = "New event source"
    shown_once_notice = SHOWN_ONCE

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [name for name in self.readonly_fields if obj is not None or name != "format"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("activity", "default_server__organization")

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        totals = source_counts.totals([record.pk for record in records], timezone.now())
        for record in records:
            record.lately = totals[record.pk]

    # --- Columns -----------------------------------------------------------------------------------------------------

    @display(description="Token")
    def key_start(self, record: EventSource) -> str:
        return f"{record.key_prefix}…"

    @display(
        description="State",
        label={"reporting": "success", "new": "info", "silent": "warning", "off": "default", "revoked": "default"},
    )
    def state_label(self, record: EventSource) -> str:
        if record.revoked_at is not None:
            return "revoked"
        if not record.is_active:
            return "off"
        activity = getattr(record, "activity", None)
        if activity is None:
            return "new"
        return "silent" if activity.last_delivery_at < timezone.now() - SILENT_AFTER else "reporting"

    @display(description="Accepted, 24 h")
    def accepted_lately(self, record: Any) -> int:
        return record.lately["accepted"]

    @display(description="Refused, 24 h")
    def refused_lately(self, record: Any) -> int:
        return record.lately["refused"]

    @display(description="Last event")
    def last_event(self, record: EventSource) -> datetime.datetime | None:
        return getattr(getattr(record, "activity", None), "last_event_at", None)

    @display(description="Lag")
    def lag(self, record: EventSource) -> str:
        seconds = getattr(getattr(record, "activity", None), "lag_seconds", None)
        return "" if seconds is None else f"{seconds:,.0f} s between event and arrival"

    # --- A source's page -----------------------------------------------------------------------------------------------

    @display(description="Silence")
    def silence(self, record: EventSource) -> str:
        activity = getattr(record, "activity", None)
        if activity is None:
            return "It has not reported yet."
        states = {"silent": "Silent since", "reporting": "None: it reported last on"}
        return f"{states.get(self.state_label(record), 'It reported last on')} {_said(activity.last_delivery_at)}"

    @display(description="Last event")
    def last(self, record: EventSource) -> str:
        at = self.last_event(record)
        return "" if at is None else _said(at)

    @display(description="Mappings")
    def mapped_texts(self, record: EventSource) -> str:
        mappings = record.mappings.select_related("server__organization")
        rows = ((mapping.text, smtp_user_of(mapping.server)) for mapping in mappings[:200])
        return format_html_join("", "<div>{} → {}</div>", rows)

    @display(description="Records")
    def totals(self, record: EventSource) -> str:
        totals = source_counts.summary(record, timezone.now()).totals
        return ", ".join(f"{number:,} {outcome}" for outcome, number in totals.items())

    @display(description="Rate")
    def rate(self, record: EventSource) -> str:
        return f"{source_counts.summary(record, timezone.now()).last_hour:,} events accepted in the last whole hour"

    @display(description="Reasons")
    def reasons(self, record: EventSource) -> str:
        reasons = source_counts.summary(record, timezone.now()).reasons
        rows = ((outcome, code, f"{number:,}") for outcome, codes in reasons.items() for code, number in codes.items())
        return format_html_join("", "<div>{}: {} ({})</div>", rows)

    @display(description="Samples")
    def samples(self, record: EventSource) -> str:
        found = SourceSample.objects.filter(source=record).order_by("-at")[:20]
        rows = ((each.outcome, each.code, each.message, each.sample) for each in found)
        return format_html_join("", "<div>{}: {}: {}<br><code>{}</code></div>", rows)

    # --- Acts ----------------------------------------------------------------------------------------------------------

    @act(
        title="Map a text",
        description="Events that name this text as their tenant, or name none and contain it, are counted for this server.",
        icon="conversion_path",
        form=MappingForm,
    )
    def map_text(self, request: HttpRequest, record: EventSource, form: ActForm) -> str:
        text, name = form.cleaned_data["text"], form.cleaned_data["server"].strip()
        if not name:
            event_sources.unmap_text(source=record, text=text, actor=actor_of(request))
            return f"The mapping of {text} is removed."
        server = event_sources.server_called(name)
        event_sources.map_text(source=record, text=text, server=server, actor=actor_of(request))
        return f"{text} is mapped to {smtp_user_of(server)}."

    @act(
        title="Rotate the token",
        description="A new token is created, and the old one stops working at once.",
        icon="sync_lock",
        variant=ActionVariant.WARNING,
    )
    def rotate(self, request: HttpRequest, record: EventSource, form: ActForm) -> HttpResponse:
        made = event_sources.rotate_source(source=record, actor=actor_of(request))
        return revealed_keys.show(
            self, request, made.source, {"New token": made.token}, title="Rotated", notice=SHOWN_ONCE
        )

    @act(
        title="Revoke",
        description="Its requests are refused at once, until its token is rotated.",
        icon="block",
        variant=ActionVariant.DANGER,
        fits=lambda record: record.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, record: EventSource, form: ActForm) -> str:
        event_sources.revoke_source(source=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is revoked."


def _said(at: datetime.datetime) -> str:
    return formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")
