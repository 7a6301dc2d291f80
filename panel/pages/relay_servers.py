"""Relay servers: external mail servers that accept our mail."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from core.errors import Conflict
from core.references import Reference
from ippools import relay_servers
from ippools.models import RelayServer, VirtualMTA
from panel.forms.base import ActingForm
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of

LIMITS = ("max_concurrent_connections", "max_messages_per_hour")


class RelayServerForm(ActingForm):
    """A relay server. The password is never shown."""

    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1_000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep the stored password.",
    )
    forget_password = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget(), help_text="Connect to the relay without a password."
    )
    aliases = {"destination_password": "password"}

    def act(self) -> RelayServer:
        given = dict(self.cleaned_data)
        password = "" if given["forget_password"] else given["password"] or None
        values = values_of({**given, "redirect_id": given["redirect"].pk if given["redirect"] else None}, password)
        if self.is_new:
            return relay_servers.create(actor=self.actor, **values)
        return relay_servers.change(self.instance.pk, actor=self.actor, **values)


def values_of(columns: dict[str, Any], password: str | None) -> relay_servers.RelayFields:
    """Return a relay server's columns as acts take them; password None keeps the one that is stored."""
    return {
        "name": columns["name"],
        "redirect": None if columns["redirect_id"] is None else Reference(columns["redirect_id"]),
        "source_ip": columns["source_ip"],
        "source_hostname": columns["source_hostname"],
        "destination_hostname": columns["destination_hostname"],
        "destination_port": columns["destination_port"],
        "destination_username": columns["destination_username"] or None,
        "destination_password": password,
        "max_concurrent_connections": columns["max_concurrent_connections"],
        "max_messages_per_hour": columns["max_messages_per_hour"],
    }


@admin.register(RelayServer)
class RelayServerAdmin(PanelAdmin):
    """Relay servers."""

    form = RelayServerForm
    list_display = [
        "name",
        "source_ip",
        "destination_hostname",
        "destination_port",
        "connections",
        "an_hour",
        "redirect",
    ]
    list_select_related = ["redirect"]
    search_fields = ["name_key", "destination_hostname", "source_ip"]
    search_help_text = "Name, host name or source address"
    autocomplete_fields = ["redirect"]
    fieldsets = (
        (None, {"fields": ["name", "redirect"]}),
        ("From", {"fields": ["source_ip", "source_hostname"]}),
        ("To", {"fields": ["destination_hostname", "destination_port", "destination_username", "password", "forget_password"]}),
        ("Limits", {"fields": list(LIMITS), "description": "0 means unlimited."}),
    )  # fmt: skip
    restorable = (
        "name",
        "redirect_id",
        "source_ip",
        "source_hostname",
        "destination_hostname",
        "destination_port",
        "destination_username",
        *LIMITS,
    )

    @display(description="Connections at once", ordering="max_concurrent_connections")
    def connections(self, record: RelayServer) -> str:
        return f"{record.max_concurrent_connections:,}" if record.max_concurrent_connections else "unlimited"

    @display(description="Messages per hour", ordering="max_messages_per_hour")
    def an_hour(self, record: RelayServer) -> str:
        return f"{record.max_messages_per_hour:,}" if record.max_messages_per_hour else "unlimited"

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sets
        secret = {"password", "forget_password"}
        return [(name, {**each, "fields": [x for x in each["fields"] if x not in secret]}) for name, each in sets]

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        relay_servers.delete(record.pk, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Nothing redirects or routes to it."]

    def restore(self, request: HttpRequest, record: RelayServer, state: dict[str, Any]) -> None:
        redirect_id = state["redirect_id"]
        if redirect_id is not None and not VirtualMTA.objects.filter(pk=redirect_id).exists():
            raise Conflict("Its former redirect no longer exists")
        relay_servers.change(record.pk, actor=actor_of(request), **values_of(state, None))
