"""Nodes: machines with one MTA, their wanted and applied revisions."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.decorators import display

from core.names import without_invisible
from core.related_counts import count_of
from nodes import nodes
from nodes.models import Node, NodePolicy, NodeReport
from nodes.progress import Progress, progress_of
from panel import revealed_keys
from panel.alert_filter import AlertFilter
from panel.forms.base import ActingForm
from panel.forms.fields import text_area
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of

_LABELS = {
    "applied": "success",
    "behind": "warning",
    "failing": "danger",
    "silent": "danger",
    "never seen": "default",
    "unpublished": "default",
}


class NodeForm(ActingForm):
    """A node's own fields, and the addresses that are on it."""

    address_list = forms.CharField(
        label="Addresses",
        required=False,
        max_length=1_000_000,
        widget=text_area(rows=8, placeholder="192.0.2.1\n192.0.2.2", spellcheck="false"),
        help_text="The complete list, one per line. An address can be on one node.",
    )

    aliases = {"addresses": "address_list"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "address_list" in self.fields and not self.is_new:
            self.initial["address_list"] = "\n".join(nodes.addresses_on(self.instance))

    def act(self) -> Node:
        given = self.cleaned_data
        addresses = without_invisible(given["address_list"]).replace(",", " ").replace(";", " ").split()
        if not self.is_new:
            return nodes.change_node(node=self.instance, name=given["name"], addresses=addresses, actor=self.actor)
        made = nodes.create_node(name=given["name"], kind=given["kind"], addresses=addresses, actor=self.actor)
        self.secrets = {"Node key": made.key}
        return made.node


@admin.register(Node)
class NodeAdmin(PanelAdmin):
    """Nodes. Only the platform's staff can view them."""

    form = NodeForm
    list_display = ["name", "kind", "state", "last_seen", "wanted", "applied", "address_count"]
    list_filter = [AlertFilter, "kind"]
    list_select_related = ["revision", "report"]
    search_fields = ["name_key", "addresses__ipv4"]
    search_help_text = "Name or IPv4 address"
    add_fieldsets = ((None, {"fields": ["name", "kind", "address_list"]}),)
    fieldsets = ((None, {"fields": ["name", "kind_shown", "key_start", "address_list"]}),)
    readonly_fields = ["kind_shown", "key_start"]
    actions_detail = ["rotate"]
    change_form_outer_before_template = "panel/node/summary.html"
    shown_once_title = "New node"
    restorable = ("name", "addresses")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(address_total=count_of(Node, "node_addresses"))

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        now = timezone.now()
        for record in records:
            record.progress = progress_of(record, _report(record), at=now)

    @display(description="State", label=_LABELS)
    def state(self, record: Any) -> str:
        return str(record.progress.state)

    @display(description="Last seen")
    def last_seen(self, record: Any) -> Any:
        return record.progress.seen_at

    @display(description="Wanted")
    def wanted(self, record: Any) -> str:
        return _revision(record.progress.wanted)

    @display(description="Applied")
    def applied(self, record: Any) -> str:
        return _revision(record.progress.applied)

    @display(description="Addresses", ordering="address_total")
    def address_count(self, record: Any) -> int:
        return record.address_total

    @display(description="Kind")
    def kind_shown(self, record: Node) -> str:
        return record.get_kind_display()

    @display(description="Key")
    def key_start(self, record: Node) -> str:
        return f"{record.key_prefix}…"

    @act(
        title="New key",
        description="The agent's current key stops working at once. The new key is shown once.",
        icon="key",
    )
    def rotate(self, request: HttpRequest, record: Node, form: ActForm) -> HttpResponse:
        made = nodes.rotate_key(node=record, actor=actor_of(request))
        return revealed_keys.show(
            self, request, record, {"Node key": made.key}, title="New node key", notice=self.shown_once_notice
        )

    def summary_of(self, request: HttpRequest, record: Node) -> dict[str, Any]:
        report = _report(record)
        progress: Progress = progress_of(record, report, at=timezone.now())
        policy = NodePolicy.objects.filter(node_id=record.pk, revisions__revision=record.revision_id).first()
        body = {} if report is None else report.body
        return {
            "node": record,
            "progress": progress,
            "report": report,
            "body": body,
            "lists_compared_at": _time(body.get("suppressions_compared_at")),
            "lists_differed_at": _time(body.get("suppressions_differed_at")),
            "policy": policy if record.revision_id else None,
        }

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        nodes.delete_node(node=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [
            "Its key stops working at once. The MTA continues with the policy that it applied last.",
            "Its addresses are kept, without a node. Revisions keep its policies.",
        ]

    def state_of(self, record: Node) -> dict[str, Any]:
        return nodes.document(record)

    def restore(self, request: HttpRequest, record: Node, state: dict[str, Any]) -> None:
        nodes.change_node(node=record, name=state["name"], addresses=state["addresses"], actor=actor_of(request))


def _report(node: Node) -> NodeReport | None:
    return getattr(node, "report", None)


def _time(reported: str | None) -> datetime.datetime | None:
    return None if reported is None else parse_datetime(reported)


def _revision(number: int | None) -> str:
    return "—" if number is None else f"r{number}"
