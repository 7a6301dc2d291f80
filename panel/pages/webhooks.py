"""Webhooks: URLs that are called for events of a server."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from panel import deletion
from panel.filters import RecordFilter
from panel.forms.fields import url_input
from panel.pages.server_children import ServerChildAdmin, ServerChildForm
from panel.record_actions import actor_of
from servers import webhooks
from servers.models import Webhook
from webhooks.models import Circuit

# Postal's names of what nothing here notices: choosing them is kept, and calls nothing.
_UNTOLD = {name: f"{name} (never called: opens and clicks are not counted)" for name in webhooks.NEVER_TOLD}


class WebhookForm(ServerChildForm):
    """A webhook's own fields."""

    url = forms.URLField(label="URL", max_length=2000, assume_scheme="https", widget=url_input())
    events = forms.MultipleChoiceField(
        choices=[(name, _UNTOLD.get(name, name)) for name in webhooks.EVENTS],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Choose none to be called for all events.",
    )

    helps: ClassVar[dict[str, str]] = {
        "sign": "Receivers can verify that a call is Sluice's. The address of the public keys is on the webhook's page."
    }

    def act(self) -> Webhook:
        values = dict(self.cleaned_data)
        if self.is_new:
            return webhooks.create_webhook(actor=self.actor, **values)
        return webhooks.change_webhook(webhook=self.instance, actor=self.actor, **values)


@admin.register(Webhook)
class WebhookAdmin(ServerChildAdmin):
    """Webhooks."""

    form = WebhookForm
    list_display = ["name", "server", "url", "event_names", "enabled"]
    list_filter = [("server", RecordFilter), "enabled"]
    search_fields = ["name", "url", "uuid", "server__name_key"]
    search_help_text = "Name, URL or server"
    fields = ["server", "name", "url", "events", "enabled", "sign"]
    restorable = ("name", "url", "events", "enabled", "sign")
    change_form_outer_before_template = "panel/webhook/summary.html"

    @display(description="Events")
    def event_names(self, record: Webhook) -> str:
        return ", ".join(record.events) or "all"

    def summary_of(self, request: HttpRequest, record: Webhook) -> dict[str, Any]:
        return {"webhook": record, "circuit": Circuit.objects.filter(pk=record.pk).first()}

    def consequences(self, record: Any) -> list[str]:
        return ["Its deliveries go with it, those that are waiting too."]

    # Nothing can stand against it; tried, it would delete what may be many rows.
    obstacles = deletion.none

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        webhooks.delete_webhook(webhook=record, actor=actor_of(request))

    def restore(self, request: HttpRequest, record: Webhook, state: dict[str, Any]) -> None:
        webhooks.change_webhook(webhook=record, actor=actor_of(request), **state)
