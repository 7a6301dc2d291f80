"""Servers: streams of an organization's mail, with keys, domains and statistics."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.errors import Conflict
from panel import volumes
from panel.alert_filter import AlertFilter
from panel.bulk import actions, acts
from panel.filters import RecordFilter, by_emptiness
from panel.forms.base import ActingForm
from panel.forms.suspension import SuspensionForm
from panel.pages import server_overview
from panel.pages.base import TenantAdmin
from panel.pages.server_filters import ServerStateFilter
from panel.record_actions import ActForm, act, actor_of
from servers import provisioning, send_limits
from servers.access import organizations_changed_by
from servers.models import Server
from servers.pools import pools_of
from stats.reports.queries import rank_pools
from stats.reports.volumes import by_server


class ServerForm(ActingForm):
    """A server's own fields. Its organization is chosen once."""

    auto_assign = forms.BooleanField(
        required=False,
        label="Choose a pool automatically",
        help_text="Chooses among the organization's least used pools in turn. Only if no pool is chosen.",
    )

    helps = {
        "mode": "A live server sends its mail; a development server holds all of it.",
        "ip_pool": "Mail is sent from the addresses of this pool. Without a pool, only mail that a pool rule matches is sent.",
        "privacy_mode": "Webhooks do not get the recipient of a message, nor the receiver's reply, which may repeat it.",
        "send_limit": "Messages sent in a UTC hour. Above it, mail is deferred until the next hour. Leave empty for no limit.",
        "send_limit_a_day": "Messages sent in a UTC day. Leave empty for no limit.",
        "send_limit_a_month": "Messages sent in a UTC month. Leave empty for no limit.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit_choices("organization", organizations_changed_by(self.request.user))
        if not self.is_new:
            self.limit_choices("ip_pool", pools_of(self.instance.organization))

    def act(self) -> Server:
        values = dict(self.cleaned_data)
        if not self.is_new:
            values.pop("auto_assign", None)
            return provisioning.change_server(server=self.instance, actor=self.actor, **values)
        organization = values["organization"]
        ranked = rank_pools(organization.pk) if values["auto_assign"] and values["ip_pool"] is None else []
        created = provisioning.create_server(
            organization=organization,
            name=values["name"],
            mode=values["mode"],
            pool=values["ip_pool"],
            ranked_pool_ids=ranked,
            privacy_mode=values["privacy_mode"],
            actor=self.actor,
        )
        if created.already_exists:
            # The API answers with the one that there is; a person who fills in a form means a new one.
            self.add_error("name", "Has already been taken")
        return created.server


class SuspendForm(SuspensionForm, ActForm):
    """The reason and the end of this server's suspension."""


@admin.register(Server)
class ServerAdmin(volumes.VolumeColumns, TenantAdmin):
    """Servers. A deleted one can be restored."""

    form = ServerForm
    list_display = ["name", "organization", "state", "mode_label", "ip_pool", *volumes.COLUMNS]
    rankings = volumes.RANKINGS
    greatest_first = volumes.COLUMNS
    volumes_of = staticmethod(by_server)
    list_filter = [
        AlertFilter,
        ("organization", RecordFilter),
        ServerStateFilter,
        "mode",
        ("ip_pool", by_emptiness("IP pool", empty="Without", filled="With")),
    ]
    search_fields = ["name_key", "permalink", "uuid", "organization__name_key"]
    search_help_text = "Name, permalink, UUID or organization"
    autocomplete_fields = ["organization", "ip_pool"]
    add_fieldsets = ((None, {"fields": ["organization", "name", "mode", "ip_pool", "auto_assign", "privacy_mode"]}),)
    fieldsets = ((None, {"fields": ["name", "mode", "ip_pool", "privacy_mode", *send_limits.FIELDS.values()]}),)
    actions = [actions.action(acts.suspend_servers), actions.action(acts.resume_servers)]
    actions_detail = ["switch_to_development", "switch_to_live", "suspend", "resume", "restore_deleted"]
    change_form_outer_before_template = "panel/server/summary.html"
    restorable = ("name", "mode", "ip_pool_id", "privacy_mode", *send_limits.FIELDS.values())

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("organization", "ip_pool")

    choice_related = ("organization",)

    def choice_label(self, record: Server) -> str:
        # Each organization may have a server of the same name.
        return f"{record.name} ({record.organization.name})"

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # A deleted server can be looked at and restored, nothing else.
        is_deleted = isinstance(obj, Server) and obj.deleted_at is not None
        return not is_deleted and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        is_deleted = isinstance(obj, Server) and obj.deleted_at is not None
        return not is_deleted and super().has_delete_permission(request, obj)

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        now = timezone.now()
        self.add_volumes(request, records, now)
        for record in records:
            record.at = now

    @display(
        description="State",
        ordering=F("suspended_at").asc(nulls_last=True),
        label={"active": "success", "suspended": "danger", "organization suspended": "danger", "deleted": "default"},
    )
    def state(self, record: Any) -> str:
        if record.deleted_at is not None:
            return "deleted"
        if record.is_suspended(record.at):
            return "suspended"
        return "organization suspended" if record.organization.is_suspended else "active"

    @display(description="Mode", ordering="mode", label={"Live": "info", "Development": "warning"})
    def mode_label(self, record: Server) -> str:
        return record.get_mode_display()

    def summary_of(self, request: HttpRequest, record: Server) -> dict[str, Any]:
        may_change = self.has_change_permission(request, record)
        return {**server_overview.summary(record, timezone.now()), "may_change": may_change}

    @act(
        title="Switch to development",
        description="A development server holds all mail instead of sending it.",
        icon="science",
        fits=lambda record: record.deleted_at is None and record.mode == Server.Mode.LIVE,
    )
    def switch_to_development(self, request: HttpRequest, record: Server, form: ActForm) -> str:
        provisioning.change_server(server=record, mode=Server.Mode.DEVELOPMENT, actor=actor_of(request))
        return f"{record} now holds all mail."

    @act(
        title="Switch to live",
        description="A live server sends its mail.",
        icon="rocket_launch",
        fits=lambda record: record.deleted_at is None and record.mode == Server.Mode.DEVELOPMENT,
    )
    def switch_to_live(self, request: HttpRequest, record: Server, form: ActForm) -> str:
        provisioning.change_server(server=record, mode=Server.Mode.LIVE, actor=actor_of(request))
        return f"{record} now sends its mail."

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        provisioning.delete_server(server=record, at=timezone.now(), actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [
            "Its keys stop working at once, and its name can be used again.",
            "Its statistics are kept, and it can be restored.",
        ]

    @act(
        title="Suspend",
        description="Its keys stop working at once: programs get “ServerSuspended”.",
        form=SuspendForm,
        icon="pause_circle",
        fits=lambda record: record.deleted_at is None and record.suspended_at is None,
    )
    def suspend(self, request: HttpRequest, record: Server, form: ActForm) -> str:
        provisioning.suspend_server(
            server=record,
            reason=form.cleaned_data["reason"],
            until=form.cleaned_data["until"],
            at=timezone.now(),
            actor=actor_of(request),
        )
        return f"{record} is suspended: its keys do not work."

    @act(
        title="Resume",
        description="Its keys work again, unless its organization is suspended.",
        icon="play_circle",
        fits=lambda record: record.deleted_at is None and record.suspended_at is not None,
    )
    def resume(self, request: HttpRequest, record: Server, form: ActForm) -> str:
        provisioning.resume_server(server=record, actor=actor_of(request))
        return f"{record} is resumed."

    @act(
        title="Restore",
        description="Restores the deleted server and its keys.",
        icon="restore_from_trash",
        fits=lambda record: record.deleted_at is not None,
    )
    def restore_deleted(self, request: HttpRequest, record: Server, form: ActForm) -> str:
        provisioning.restore_server(server=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} and its keys are restored."

    def restore(self, request: HttpRequest, record: Server, state: dict[str, Any]) -> None:
        pool_id = state.pop("ip_pool_id")
        pool = None
        if pool_id is not None:
            pool = pools_of(record.organization).filter(pk=pool_id).first()
            if pool is None:
                raise Conflict("Its former pool is no longer available to its organization")
        provisioning.change_server(server=record, actor=actor_of(request), ip_pool=pool, **state)
