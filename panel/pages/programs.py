"""Throttle programs: how rates are reduced when a receiver defers or rejects mail."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.audit import snapshot
from core.related_counts import count_of
from core.texts import counted
from ippools.models import AddressCap
from panel.forms.previews import Effect, PreviewedForm
from panel.pages import bounded
from panel.pages.base import PanelAdmin
from panel.record_actions import actor_of
from throttling import programs, used_by
from throttling.limits import CapKind
from throttling.models import Rule, RuleDomain, ThrottleProgram

RATES = ("failure_rate", "deferral_rate")
SHOWN_USERS = 20
BEHAVIOUR = (
    "backoff_connections_mode",
    "backoff_connections_value",
    "backoff_messages_mode",
    "backoff_messages_value",
    "return_after_seconds",
    *RATES,
)


class ProgramForm(PreviewedForm):
    """A program."""

    aliases = {"triggers": "failure_rate"}

    helps = {
        "backoff_connections_value": "Percent of the limit, or connections.",
        "backoff_messages_value": "Percent of the limit, or messages per hour.",
        "return_after_seconds": "Seconds without a trigger after which the normal limits apply again.",
        "failure_rate": "Percent of the attempts that failed permanently. Leave empty to disable this trigger.",
        "deferral_rate": "Percent of the attempts that were deferred. Leave empty to disable this trigger.",
    }

    def act(self) -> ThrottleProgram:
        if self.is_new:
            return programs.create(actor=self.actor, **values_of(self.cleaned_data))
        return programs.change(self.instance.pk, actor=self.actor, **values_of(self.cleaned_data))

    def state_before(self) -> dict[str, Any]:
        return behaviour_of(ThrottleProgram.objects.get(pk=self.instance.pk))

    def effect(self, record: ThrottleProgram, before: dict[str, Any]) -> Effect | None:
        return effect_on_rules(record, before)


def behaviour_of(program: ThrottleProgram) -> dict[str, Any]:
    """Return the fields of a program that affect rules: all but its name."""
    return {name: value for name, value in snapshot(program).items() if name in BEHAVIOUR}


def effect_on_rules(program: ThrottleProgram, before: dict[str, Any]) -> Effect | None:
    """Return the effects of a change of the program on its rules; None: nothing."""
    rules = Rule.objects.filter(throttle_program=program)
    total = rules.count()
    if not total or behaviour_of(program) == before:
        return None
    domains = RuleDomain.objects.filter(rule__in=rules).count()
    users = {each.type: each.rows.count() for each in used_by.of_program(program)}
    owners = (
        f"{counted(users['throttling_template'], 'template', 'templates')} and "
        f"{counted(users['ip_address'], 'address', 'addresses')}"
    )
    patterns = counted(domains, "domain pattern", "domain patterns")
    return Effect(f"{counted(total, 'rule', 'rules')} of {owners} slow down in another way for {patterns}.")


def values_of(columns: dict[str, Any]) -> programs.ProgramFields:
    """Return a program's columns as acts take them."""
    names = ("name", *programs.MODES, *programs.VALUES, *RATES)
    return cast(programs.ProgramFields, {name: columns[name] for name in names})


@admin.register(ThrottleProgram)
class ThrottleProgramAdmin(PanelAdmin):
    """Throttle programs. Built-in ones cannot be changed."""

    form = ProgramForm
    list_display = ["name", "built_in", "slows_to", "returns_after", "failures", "deferrals", "rule_count"]
    search_fields = ["name_key"]
    search_help_text = "Name"
    fieldsets = (
        (None, {"fields": ["name"]}),
        (
            "While backing off",
            {
                "fields": [
                    ("backoff_connections_mode", "backoff_connections_value"),
                    ("backoff_messages_mode", "backoff_messages_value"),
                    "return_after_seconds",
                ]
            },
        ),
        (
            "Triggers",
            {"fields": [RATES], "description": "In percent of the attempts. At least one is required."},
        ),
    )
    change_form_before_template = "panel/parts/preview.html"
    change_form_outer_after_template = "panel/program.html"
    restorable = ("name", *BEHAVIOUR)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(rule_total=count_of(ThrottleProgram, "rules"))

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        is_builtin = isinstance(obj, ThrottleProgram) and obj.is_builtin
        return not is_builtin and super().has_change_permission(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return super().get_fieldsets(request, obj) if self._may_write(request, obj) else _READ

    def _may_write(self, request: HttpRequest, obj: Any | None) -> bool:
        return obj is None or self.has_change_permission(request, obj)

    @display(description="Connections at once")
    def connections_while(self, record: ThrottleProgram) -> str:
        return _in_words(record.backoff_connections_mode, record.backoff_connections_value)

    @display(description="Messages per hour")
    def messages_while(self, record: ThrottleProgram) -> str:
        return _in_words(record.backoff_messages_mode, record.backoff_messages_value)

    @display(description="Failure rate", ordering="failure_rate")
    def failures(self, record: ThrottleProgram) -> str:
        return _trigger(record.failure_rate)

    @display(description="Deferral rate", ordering="deferral_rate")
    def deferrals(self, record: ThrottleProgram) -> str:
        return _trigger(record.deferral_rate)

    def is_kept(self, record: ThrottleProgram) -> bool:
        return record.is_builtin

    @display(description="Built in", ordering="is_builtin", boolean=True)
    def built_in(self, record: ThrottleProgram) -> bool:
        return record.is_builtin

    @display(description="Slows to")
    def slows_to(self, record: ThrottleProgram) -> str:
        connections = _share(record.backoff_connections_mode, record.backoff_connections_value)
        messages = _share(record.backoff_messages_mode, record.backoff_messages_value)
        return f"{connections} of connections, {messages} of messages"

    @display(description="Returns after", ordering="return_after_seconds")
    def returns_after(self, record: ThrottleProgram) -> str:
        for length, one, many in ((3_600, "hour", "hours"), (60, "minute", "minutes")):
            if record.return_after_seconds % length == 0:
                return counted(record.return_after_seconds // length, one, many)
        return f"{record.return_after_seconds:,} seconds"

    @display(description="Rules", ordering="rule_total")
    def rule_count(self, record: Any) -> int:
        return record.rule_total

    def summary_of(self, request: HttpRequest, record: ThrottleProgram) -> dict[str, Any]:
        users = [
            {"type": each.type, "rows": each.rows.order_by("pk")[:SHOWN_USERS], "total": each.rows.count()}
            for each in used_by.of_program(record)
        ]
        caps = AddressCap.objects.filter(kind=CapKind.THROTTLE_PROGRAM.value, rule__throttle_program=record)
        return {"users": users, **bounded.context_of(caps, timezone.now()), "may_end_caps": True}

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        programs.delete(record.pk, actor=actor_of(request))

    def state_before(self, record: ThrottleProgram) -> dict[str, Any]:
        return behaviour_of(record)

    def effect(self, record: ThrottleProgram, before: dict[str, Any]) -> Effect | None:
        return effect_on_rules(record, before)

    def restore(self, request: HttpRequest, record: ThrottleProgram, state: dict[str, Any]) -> None:
        programs.change(record.pk, actor=actor_of(request), **values_of(state))


# For those who only read, with units.
_READ = (
    (None, {"fields": ["name"]}),
    ("While backing off", {"fields": ["connections_while", "messages_while", "returns_after"]}),
    ("Triggers", {"fields": ["failures", "deferrals"], "description": "In percent of the attempts."}),
)


def _in_words(mode: str, value: int) -> str:
    return f"{value} % of the normal limit" if mode == "percent" else f"{value:,}"


def _trigger(rate: int | None) -> str:
    return "not watched" if rate is None else f"{rate} %"


def _share(mode: str, value: int) -> str:
    return f"{value} %" if mode == "percent" else f"{value:,}"
