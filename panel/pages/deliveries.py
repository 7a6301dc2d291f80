"""Deliveries: calls of webhooks, what came of them, and “Send again”."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from panel.filters import RecordFilter
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import Viewer
from servers.models import Server
from webhooks import deliveries
from webhooks.models import Delivery

# On the page of a server.
SHOWN = 10
STATES = {"Waiting": "info", "Delivered": "success", "Failed": "danger"}


@admin.register(Delivery)
class DeliveryAdmin(TenantAdmin):
    """Deliveries. They are written with the events that they tell of, and go by themselves."""

    organization_path = "server__organization"
    has_history = False
    is_added = is_changed = is_deleted = False
    list_display = ["created_at", "webhook", "server", "event", "state_label", "result", "attempts", "due_at"]
    list_display_links = ["created_at"]
    list_filter = [("server", RecordFilter), ("webhook", RecordFilter), "state"]
    list_select_related = ["webhook", "server"]
    search_fields = ["uuid"]
    search_help_text = "UUID"
    fields = [
        "identity",
        "webhook",
        "event",
        "state_label",
        "created_at",
        "attempts",
        "attempted_at",
        "due_at",
        "until",
    ]
    readonly_fields = ["identity", "state_label"]
    actions_detail = ["send_again"]
    change_form_outer_before_template = "panel/delivery/summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).select_related("webhook", "server")

    def has_operate_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        # Whoever may change its webhook.
        page: Any = admin.site._registry[Delivery.webhook.field.related_model]
        record = obj if obj is None or isinstance(obj, Delivery) else self.seen(request, obj)
        return bool(page.has_change_permission(request, None if record is None else record.webhook))

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        return verb == "view" and super().role_allows(viewer, verb, record)

    @display(description="UUID")
    def identity(self, record: Delivery) -> str:
        return str(record.uuid)

    @display(description="State", ordering="state", label=STATES)
    def state_label(self, record: Delivery) -> str:
        return record.get_state_display()

    @display(description="Answer")
    def result(self, record: Delivery) -> str:
        return result(record)

    def summary_of(self, request: HttpRequest, record: Delivery) -> dict[str, Any]:
        return {"delivery": record, "result": result(record)}

    @act(
        title="Send again",
        description="The webhook is called once more, now, with the same body and the same UUID.",
        icon="replay",
    )
    def send_again(self, request: HttpRequest, record: Delivery, form: ActForm) -> str:
        deliveries.send_again(delivery=record, at=timezone.now(), actor=actor_of(request))
        return f"{record.event} is sent again within some seconds."


def result(delivery: Delivery) -> str:
    """Return what the last attempt came to, in a few words."""
    if delivery.status_code is not None:
        return str(delivery.status_code)
    return delivery.error or "—"


def last_of(server: Server) -> list[Delivery]:
    """Return a server's last deliveries. One query."""
    rows = Delivery.objects.filter(server=server).select_related("webhook").defer("body", "answer")
    return list(rows.order_by("-pk")[:SHOWN])
