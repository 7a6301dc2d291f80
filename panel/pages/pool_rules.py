"""IP pool rules: mail from or to certain addresses or domains is sent by another pool."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from unfold.decorators import display

from core.errors import Conflict, Fault, Invalid, Refused
from core.references import whole_id
from ippools.models import IPPool
from panel.filters import RecordFilter
from panel.formatting import in_short
from panel.forms.base import ActingForm
from panel.forms.fields import text_area
from panel.pages import rule_order
from panel.pages.base import TenantAdmin
from panel.record_actions import actor_of
from panel.viewer import Viewer
from servers import pool_rules
from servers.access import organizations_changed_by, organizations_of
from servers.models import IPPoolRule, Server

CONDITIONS = "Addresses (a +tag is ignored) or domains, one per line. Leave empty to match any."


class PoolRuleForm(ActingForm):
    """A rule: its owner, pool and conditions."""

    from_conditions = forms.CharField(
        required=False, max_length=300_000, widget=text_area(rows=5), label="From", help_text=CONDITIONS
    )
    to_conditions = forms.CharField(
        required=False, max_length=300_000, widget=text_area(rows=5), label="To", help_text=CONDITIONS
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = organizations_changed_by(self.request.user)
        self.limit_choices("organization", theirs)
        self.limit_choices(
            "server", Server.objects.living().filter(organization__in=theirs).select_related("organization")
        )

    def act(self) -> IPPoolRule:
        given = self.cleaned_data
        conditions = {name: given[name].splitlines() for name in ("from_conditions", "to_conditions")}
        if not self.is_new:
            return pool_rules.change_rule(rule=self.instance, pool=given["pool"], actor=self.actor, **conditions)
        owners = [each for each in (given["organization"], given["server"]) if each is not None]
        if len(owners) != 1:
            raise Invalid(Fault("server", "or an organization is required, but not both"))
        return pool_rules.create_rule(owner=owners[0], pool=given["pool"], actor=self.actor, **conditions)


@admin.register(IPPoolRule)
class IPPoolRuleAdmin(TenantAdmin):
    """IP pool rules, of an organization or of one server."""

    form = PoolRuleForm
    list_display = ["whose", "place", "mail_from", "mail_to", "pool"]
    # An owner's rules beside each other, as they are tried.
    ordering = ["server_id", "organization_id", "position", "pk"]
    list_select_related = ["organization", "server__organization", "pool"]
    list_filter = [("server", RecordFilter), ("organization", RecordFilter), ("pool", RecordFilter)]
    search_fields = ["from_conditions", "to_conditions", "uuid", "pool__name_key", "server__name_key"]
    search_help_text = "Address, domain, UUID, pool or server"
    autocomplete_fields = ["organization", "server", "pool"]
    fields = ["organization", "server", "pool", "from_conditions", "to_conditions"]
    change_form_outer_after_template = "panel/pool_rule/order.html"
    restorable = ("pool_id", "from_conditions", "to_conditions")

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        if viewer.is_platform:
            return records
        theirs = organizations_of(viewer.user)
        # Their servers are found first: a join would read all that there are.
        servers = Server.objects.filter(organization__in=theirs)
        return records.filter(Q(organization__in=theirs) | Q(server__in=servers))

    def organization_id_of(self, record: Any) -> int | None:
        return record.organization_id or record.server.organization_id

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "server__organization", "pool")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [] if obj is None else ["organization", "server"]

    def choice_label(self, record: IPPoolRule) -> str:
        return f"from {in_words(record.from_conditions)} to {in_words(record.to_conditions)}"

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        places = rule_order.places_of(records)
        for record in records:
            record.place = places[record.pk]

    @display(description="Place")
    def place(self, record: Any) -> int:
        return record.place

    @display(description="Whose")
    def whose(self, record: IPPoolRule) -> str:
        if record.server is not None:
            return f"{record.server} ({record.server.organization})"
        return f"all servers of {record.organization}"

    @display(description="From")
    def mail_from(self, record: IPPoolRule) -> str:
        return in_words(record.from_conditions)

    @display(description="To")
    def mail_to(self, record: IPPoolRule) -> str:
        return in_words(record.to_conditions)

    def summary_of(self, request: HttpRequest, record: IPPoolRule) -> dict[str, Any]:
        found = rule_order.around(record)
        rows = [
            {
                "place": place,
                "is_here": rule.pk == record.pk,
                "mail_from": in_words(rule.from_conditions),
                "mail_to": in_words(rule.to_conditions),
                "pool": rule.pool,
                "url": self.url_of(rule.pk),
                "move_url": self.url_of(rule.pk, "move"),
            }
            for place, rule in found["rules"]
        ]
        # A user who can change one of an owner's rules can change all.
        may_move = found["rule_total"] > 1 and self.has_change_permission(request, record)
        return {**found, "rows": rows, "may_move": may_move, "steps": rule_order.STEPS.items()}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.move_view)
        return [path("<path:object_id>/move/", view, name="servers_ippoolrule_move"), *super().get_urls()]

    def move_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move the rule in the order of evaluation, and redirect to the previous page."""
        record = self.record_for(request, object_id)
        step = request.POST.get("step", "")
        if request.method == "POST" and step in rule_order.STEPS:
            try:
                rule_order.move(rule=record, step=step, actor=actor_of(request))
            except Refused:
                messages.error(request, "The rules have changed in the meantime. Check their order again.")
        back = request.POST.get("back", "")
        shown = self.seen(request, back) if whole_id(back) else None
        return HttpResponseRedirect(f"{self.url_of((shown or record).pk)}#order")

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        pool_rules.delete_rule(rule=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Mail that it matched is sent by the next matching rule, or by the server's pool."]

    def restore(self, request: HttpRequest, record: IPPoolRule, state: dict[str, Any]) -> None:
        pool = IPPool.objects.filter(pk=state["pool_id"]).first()
        if pool is None:
            raise Conflict("Its former pool no longer exists")
        conditions = {name: state[name].splitlines() for name in ("from_conditions", "to_conditions")}
        pool_rules.change_rule(rule=record, pool=pool, actor=actor_of(request), **conditions)


def in_words(conditions: str) -> str:
    """Return the first conditions and how many more there are."""
    return in_short(conditions.splitlines()) or "anybody"
