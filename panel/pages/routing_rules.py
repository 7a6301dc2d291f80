"""Routing rules: mail split over several VirtualMTAs, with overrides for recipient domains."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.forms import formset_factory
from django.http import HttpRequest
from unfold.decorators import display

from core.errors import Fault
from core.references import Reference
from core.related_counts import count_of
from ippools import routing_rules
from ippools.models import RoutingRule, VirtualMTA
from ippools.models.routing_rule import Randomization
from panel.forms import errors
from panel.forms.base import ActingForm
from panel.forms.fields import select, text_area
from panel.forms.rows import Rows
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of

MOST_OVERRIDES = 100
TARGETS_HELP = (
    "One per line: a weight and the name of a VirtualMTA. “3 relay-1” gets three times as much mail "
    "as “1 ip-192.0.2.1”."
)
_TARGET = re.compile(r"(?:(?P<weight>[0-9]+(?:\.[0-9]+)?)\s+)?(?P<name>\S.*)")


def read_targets(text: str) -> list[routing_rules.TargetFields]:
    """Return the targets of some lines; a line without a weight has 1."""
    targets: list[routing_rules.TargetFields] = []
    for line in text.splitlines():
        if found := _TARGET.fullmatch(line.strip()):
            weight = found["weight"] or "1"
            portion = float(weight) if "." in weight else int(weight)
            targets.append({"virtual_mta": Reference(name=found["name"]), "portion_of_mail": portion})
    return targets


def write_targets(targets: list[dict[str, Any]], names: dict[int, str]) -> str:
    """Return targets as lines."""
    return "\n".join(f"{each['portion_of_mail']:g} {names[each['virtual_mta']['id']]}" for each in targets)


class OverrideForm(forms.Form):
    """One override. Empty rows are ignored."""

    id = forms.IntegerField(required=False, widget=forms.HiddenInput())
    domains = forms.CharField(
        required=False,
        max_length=100_000,
        widget=text_area(rows=3, placeholder="example.com\n*.example.com", **{"aria-label": "Domains"}),
    )
    randomization_type = forms.ChoiceField(
        choices=Randomization.choices, widget=select(**{"aria-label": "Chosen anew for"}), label="Chosen anew for"
    )
    deliver_through = forms.CharField(
        required=False,
        max_length=100_000,
        widget=text_area(rows=3, placeholder="1 name", **{"aria-label": "Deliver through"}),
    )

    @property
    def is_blank(self) -> bool:
        return not self.errors and not any(self.cleaned_data.get(each) for each in ("id", "domains", "deliver_through"))

    @property
    def values(self) -> routing_rules.OverrideFields:
        """Return the override as the input of a change."""
        cleaned = self.cleaned_data
        return {
            "id": cleaned["id"] or None,
            "domains": cleaned["domains"].split(),
            "randomization_type": cleaned["randomization_type"],
            "deliver_through": read_targets(cleaned["deliver_through"]),
        }


class OverrideRows(Rows):
    """The overrides of one rule."""

    removal_label = "Remove this override"


OVERRIDE_FORMS = formset_factory(
    OverrideForm, formset=OverrideRows, extra=1, can_delete=True, max_num=MOST_OVERRIDES, absolute_max=150
)


class RoutingRuleForm(ActingForm):
    """A routing rule with its overrides."""

    deliver_through = forms.CharField(max_length=100_000, widget=text_area(rows=5), help_text=TARGETS_HELP)

    labels = {"randomization_type": "Chosen anew for"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.overrides: Any = None
        if "deliver_through" not in self.fields:
            return
        shown = shown_values(self.instance) if not self.is_new else {"overrides": []}
        self.initial.setdefault("deliver_through", shown.get("deliver_through"))
        self.overrides = OVERRIDE_FORMS(
            self.data if self.is_bound else None, prefix="overrides", initial=shown["overrides"]
        )

    def has_changed(self) -> bool:
        return super().has_changed() or (self.overrides is not None and self.overrides.has_changed())

    def full_clean(self) -> None:
        # Before the act, which is this form's last step.
        if self.is_bound and self.overrides is not None:
            self.overrides.full_clean()
        super().full_clean()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.overrides is not None and not self.overrides.is_valid():
            others = self.overrides.non_form_errors()
            self.add_error(None, list(others) if others else "Correct the errors in the overrides below")
        return cleaned

    def act(self) -> RoutingRule:
        given = self.cleaned_data
        values: routing_rules.RoutingFields = {
            "name": given["name"],
            "default": {
                "randomization_type": given["randomization_type"],
                "deliver_through": read_targets(given["deliver_through"]),
            },
            "domain_overrides": [each.values for each in self.overrides.kept()],
        }
        if self.is_new:
            return routing_rules.create(actor=self.actor, **values)
        return routing_rules.change(self.instance.pk, actor=self.actor, **values)

    def take_fault(self, fault: Fault) -> bool:
        """Show a fault such as `domain_overrides[0].domains[1]` at that override, a fault of the default at its field."""
        head, _, rest = fault.path.partition(".")
        if head == "default":
            self.add_error(errors.field_of(self, rest), errors.sentence(fault.message))
            return True
        if not head.startswith("domain_overrides["):
            return False
        row = self.overrides.kept()[int(head[len("domain_overrides[") : -1])]
        row.add_error(errors.field_of(row, rest), errors.sentence(fault.message))
        self.add_error(None, "Correct the errors in the overrides below")
        return True


def shown_values(rule: RoutingRule) -> dict[str, Any]:
    """Return a rule as the form shows it: its VirtualMTAs by name, a line each."""
    document = rule.document()
    names = dict(VirtualMTA.objects.filter(routed_from__routing_rule=rule).values_list("pk", "name"))
    return {
        "deliver_through": write_targets(document["default"]["deliver_through"], names),
        "overrides": [
            {
                **each,
                "domains": "\n".join(each["domains"]),
                "deliver_through": write_targets(each["deliver_through"], names),
            }
            for each in document["domain_overrides"]
        ],
    }


@admin.register(RoutingRule)
class RoutingRuleAdmin(PanelAdmin):
    """Routing rules."""

    form = RoutingRuleForm
    list_display = ["name", "chosen_anew", "target_count", "override_count"]
    search_fields = ["name_key", "override_domains__pattern__startswith"]
    search_help_text = "Name, or domain of an override"
    fields = ["name", "randomization_type", "deliver_through"]
    change_form_after_template = "panel/parts/overrides.html"
    restorable = ("name", "default", "domain_overrides")

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .annotate(
                target_total=count_of(RoutingRule, "targets"), override_total=count_of(RoutingRule, "domain_overrides")
            )
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        is_shown = obj is not None and not self.has_change_permission(request, obj)
        return ["targets_shown"] if is_shown else []

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        is_shown = obj is not None and not self.has_change_permission(request, obj)
        return ["name", "randomization_type", "targets_shown"] if is_shown else list(self.fields or ())

    @display(description="Chosen anew for", ordering="randomization_type")
    def chosen_anew(self, record: RoutingRule) -> str:
        return record.get_randomization_type_display()

    @display(description="Deliver through")
    def targets_shown(self, record: RoutingRule) -> str:
        shown = shown_values(record)
        overrides = (f"{each['domains']}: {each['deliver_through']}" for each in shown["overrides"])
        return "; ".join([shown["deliver_through"], *overrides])

    @display(description="VirtualMTAs", ordering="target_total")
    def target_count(self, record: Any) -> int:
        return record.target_total

    @display(description="Overrides", ordering="override_total")
    def override_count(self, record: Any) -> int:
        return record.override_total

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        routing_rules.delete(record.pk, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Nothing redirects or routes to it."]

    def state_of(self, record: RoutingRule) -> dict[str, Any]:
        return record.document()

    def restore(self, request: HttpRequest, record: RoutingRule, state: dict[str, Any]) -> None:
        routing_rules.change(record.pk, actor=actor_of(request), **routing_rules.fields_of(state))
