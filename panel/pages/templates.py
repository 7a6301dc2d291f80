"""Throttling templates: rules that many addresses share."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display

from core.errors import Invalid
from core.related_counts import count_of
from ippools.models import AddressCap
from panel import csv_file, deletion, limit_effects, long_work
from panel.bulk import csv_import
from panel.formatting import limits_in_words
from panel.forms.previews import Effect, PreviewedForm
from panel.forms.rules import LIMITS, RulesForm
from panel.pages import bounded
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of
from throttling import rule_sets, rules_file, templates
from throttling.limits import LimitTable
from throttling.models import ThrottlingTemplate

SHOWN_ADDRESSES = 20


class TemplateForm(PreviewedForm, RulesForm):
    """A template with its rules."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            if f"default_{name}" in self.fields:
                self.fields[f"default_{name}"].required = True

    def act(self) -> ThrottlingTemplate:
        values = {"name": self.cleaned_data["name"], **self.rule_values()}
        if self.is_new:
            return templates.create(actor=self.actor, **values)
        return templates.change(self.instance.pk, actor=self.actor, **values)

    def state_before(self) -> LimitTable:
        return limit_effects.table_of(ThrottlingTemplate.objects.select_related("rules").get(pk=self.instance.pk).rules)

    def effect(self, record: ThrottlingTemplate, before: LimitTable) -> Effect | None:
        return limit_effects.of_template(record, before, now=timezone.now())


@admin.register(ThrottlingTemplate)
class ThrottlingTemplateAdmin(PanelAdmin):
    """Throttling templates. The default template is used by addresses without one, and cannot be deleted."""

    form = TemplateForm
    list_display = ["name", "default", "rule_count", "default_limits", "address_count"]
    list_select_related = ["rules"]
    search_fields = ["name_key", "rules__domains__pattern__startswith"]
    search_help_text = "Name, or domain of a rule"
    fieldsets = (
        (None, {"fields": ["name"]}),
        ("For domains that no rule matches", {"fields": [f"default_{name}" for name in LIMITS]}),
    )
    change_form_before_template = "panel/parts/preview.html"
    change_form_after_template = "panel/parts/rules.html"
    change_form_outer_after_template = "panel/template.html"
    restorable = ("name", "default", "rules")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(address_total=count_of(ThrottlingTemplate, "ip_addresses"))

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return ((None, {"fields": ["name", "default_limits"]}),)
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return ["default_limits"]

    def is_kept(self, record: ThrottlingTemplate) -> bool:
        return record.is_default

    def obstacles(self, request: HttpRequest, record: Any) -> Sequence[str]:
        lines = super().obstacles(request, record)
        # The act says no more of the default one.
        return [*lines, *deletion.users(self, request, record.ip_addresses.all())] if record.is_default else lines

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        totals = rule_sets.count_rules([record.rules_id for record in records])
        for record in records:
            record.rule_total = totals.get(record.rules_id, 0)

    @display(description="Default", ordering="is_default", boolean=True)
    def default(self, record: ThrottlingTemplate) -> bool:
        return record.is_default

    @display(description="Rules")
    def rule_count(self, record: Any) -> int:
        return record.rule_total

    @display(description="All other domains")
    def default_limits(self, record: ThrottlingTemplate) -> str:
        return limits_in_words(record.rules.max_concurrent_connections, record.rules.max_messages_per_hour)

    @display(description="Addresses", ordering="address_total")
    def address_count(self, record: Any) -> int:
        return record.address_total

    def summary_of(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        may_change = self.has_change_permission(request, record)
        return {
            "export_url": self.url_of(record.pk, "export_rules"),
            "users": record.ip_addresses.order_by("pk")[:SHOWN_ADDRESSES],
            "user_total": record.address_total,
            **bounded.context_of(AddressCap.objects.filter(rule__rule_set=record.rules_id), timezone.now()),
            "may_end_caps": True,
            **(
                {"import_url": self.url_of(record.pk, "import_rules")}
                if may_change
                else {"rules_shown": rule_sets.rules_of(record.rules_id)}
            ),
        }

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "throttling_throttlingtemplate"
        return [
            path("<path:object_id>/rules.csv", wrap(self.export_view), name=f"{name}_export_rules"),
            path("<path:object_id>/import/", wrap(self.import_view), name=f"{name}_import_rules"),
            *super().get_urls(),
        ]

    @long_work.few_at_once
    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the template's rules as CSV."""
        record = self.seen(request, object_id)
        if record is None or not self.has_view_permission(request, record):
            raise Http404
        return csv_file.answer(f"rules-{record.pk}.csv", rules_file.COLUMNS, rules_file.rows_of(record.rules))

    def import_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Replace the template's rules by those of a file, after a dry run."""
        record = self.record_for(request, object_id)

        def importing(rows: csv_import.Rows) -> csv_import.Effect:
            before = limit_effects.table_of(record.rules)
            rules = rules_file.read(rows, record.rules)
            try:
                templates.change(record.pk, actor=actor_of(request), rules=rules)
            except Invalid as refusal:
                raise rules_file.at_lines(refusal, rows) from None
            changed = limit_effects.changed_limits(before, limit_effects.table_of(record.rules))
            figures = [
                ("rules", len(rows)),
                ("domain patterns with other limits", len(changed)),
                ("addresses with this template", record.address_total),
            ]
            return csv_import.Effect(figures, [(pattern, "limits", old, new) for pattern, old, new in changed])

        return csv_import.page(
            self,
            request,
            title=f"Import rules of {record}",
            help_text="The rules of the file replace all rules of the template. Domains are separated by spaces. "
            "An empty cell keeps the value of the rule with the same domains; none removes the program.",
            columns=rules_file.COLUMNS,
            needed=rules_file.COLUMNS[:3],
            importing=importing,
            back=self.url_of(record.pk),
        )

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        templates.delete(record.pk, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Its rules are deleted with it."]

    def state_of(self, record: ThrottlingTemplate) -> dict[str, Any]:
        rule_sets.load_rules(record.rules)
        return record.document()

    def state_before(self, record: ThrottlingTemplate) -> LimitTable:
        return limit_effects.table_of(record.rules)

    def effect(self, record: ThrottlingTemplate, before: LimitTable) -> Effect | None:
        return limit_effects.of_template(record, before, now=timezone.now())

    def restore(self, request: HttpRequest, record: ThrottlingTemplate, state: dict[str, Any]) -> None:
        templates.change(record.pk, actor=actor_of(request), **templates.fields_of(state))
