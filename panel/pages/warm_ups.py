"""Warm-up plans, and the warm-ups of addresses: how far each is, why, and when it will be warm."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.audit import snapshot
from core.related_counts import count_of
from ippools import warm_ups
from ippools.models import WarmUp, WarmUpDay
from panel.filters import by_emptiness
from panel.forms.base import ActingForm
from panel.forms.fields import text_area
from panel.forms.warm_ups import HoldForm, read, written
from panel.pages import warm_up_overview
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from throttling import warm_up_plans
from throttling.models import WarmUpPlan

RATES = tuple(warm_up_plans.RANGES)


class PlanForm(ActingForm):
    """A plan; its schedule is written as text."""

    schedule = forms.CharField(
        max_length=20_000,
        widget=text_area(rows=12, spellcheck="false", placeholder="50; Gmail 25; Yahoo 25\n75; Gmail 37; Yahoo 37"),
        help_text="A line a day: the messages in all, then of each provider. At least 24 each.",
    )
    aliases = {"days": "schedule", "providers": "schedule"}
    helps = {
        "least_accepted": "Percent of a day's attempts that must have been accepted for the next day to follow.",
        "most_blocked": "Percent of a day's attempts that receivers may block.",
        "most_complained": "Of 10,000 messages sent, complaints that may come.",
        "largest_step": "Percent by which a cap may grow in a day, whatever the schedule says.",
        "floor": "Messages a day below which no cap falls.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_new and "schedule" in self.fields:
            self.initial["schedule"] = written(self.instance.days, self.instance.providers)

    def clean_schedule(self) -> dict[str, Any]:
        return read(self.cleaned_data["schedule"])

    def act(self) -> WarmUpPlan:
        given = {name: self.cleaned_data[name] for name in ("name", *RATES)} | self.cleaned_data["schedule"]
        values = cast(warm_up_plans.PlanFields, given)
        if self.is_new:
            return warm_up_plans.create(actor=self.actor, **values)
        return warm_up_plans.change(self.instance.pk, actor=self.actor, **values)


@admin.register(WarmUpPlan)
class WarmUpPlanAdmin(PanelAdmin):
    """Warm-up plans. Built-in ones cannot be changed."""

    form = PlanForm
    list_display = [
        "name",
        "built_in",
        "day_count",
        "first_and_last",
        "least_accepted",
        "largest_step",
        "warm_up_count",
    ]
    search_fields = ["name_key"]
    search_help_text = "Name"
    fieldsets = (
        (None, {"fields": ["name", "schedule"]}),
        ("Conditions for the next day", {"fields": ["least_accepted", "most_blocked", "most_complained"]}),
        ("Limits of the plan", {"fields": ["largest_step", "floor"]}),
    )
    restorable = ("name", "days", "providers", *RATES)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(warm_up_total=count_of(WarmUpPlan, "warm_ups"))

    def choices_of(self, request: HttpRequest) -> QuerySet[Any]:
        # Without the number of warm-ups, which goes through all of them for each plan.
        return super().get_queryset(request)

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        is_builtin = isinstance(obj, WarmUpPlan) and obj.is_builtin
        return not is_builtin and super().has_change_permission(request, obj)

    def is_kept(self, record: WarmUpPlan) -> bool:
        return record.is_builtin

    @display(description="Built in", ordering="is_builtin", boolean=True)
    def built_in(self, record: WarmUpPlan) -> bool:
        return record.is_builtin

    @display(description="Schedule")
    def schedule(self, record: WarmUpPlan) -> str:
        return "\n".join(
            f"Day {day}: {number:,} messages" + "".join(f", {name} {of[day - 1]:,}" for name, of in providers)
            for day, number in enumerate(record.days, start=1)
            for providers in [sorted(record.providers.items())]
        )

    @display(description="Days")
    def day_count(self, record: WarmUpPlan) -> int:
        return len(record.days)

    @display(description="Messages a day")
    def first_and_last(self, record: WarmUpPlan) -> str:
        return f"{record.days[0]:,} to {record.days[-1]:,}"

    @display(description="Warm-ups", ordering="warm_up_total")
    def warm_up_count(self, record: Any) -> int:
        return record.warm_up_total

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        warm_up_plans.delete(record.pk, actor=actor_of(request))

    def restore(self, request: HttpRequest, record: WarmUpPlan, state: dict[str, Any]) -> None:
        warm_up_plans.change(record.pk, actor=actor_of(request), **cast(warm_up_plans.PlanFields, state))

    def state_of(self, record: Any) -> dict[str, Any]:
        return snapshot(record)


class WarmUpAddForm(ActingForm):
    """Which address, by which plan, from when."""

    helps = {"begins_on": "A UTC date: today or later. The caps come within the hour."}

    def act(self) -> WarmUp:
        return warm_ups.begin(
            address_id=self.cleaned_data["address"].pk,
            plan_id=self.cleaned_data["plan"].pk,
            on=self.cleaned_data["begins_on"],
            at=timezone.now(),
            actor=self.actor,
        )


@admin.register(WarmUp)
class WarmUpAdmin(PanelAdmin):
    """Warm-ups. The worker decides each day; an operator holds, releases and stops them."""

    form = WarmUpAddForm
    is_changed = is_deleted = False
    list_display = ["address", "plan", "state", "day", "cap", "warm_on", "reason"]
    list_filter = ["plan", ("ended_at", by_emptiness("state", empty="Not ended", filled="Ended"))]
    list_select_related = ["address", "plan"]
    search_fields = ["address__ipv4", "address__name_key"]
    search_help_text = "IPv4 or name of the address"
    autocomplete_fields = ["address"]
    add_fieldsets = ((None, {"fields": ["address", "plan", "begins_on"]}),)
    fields = ["address", "plan", "begins_on", "state", "held_because", "ended_at"]
    readonly_fields = ["state", "held_because", "ended_at"]
    actions_detail = ["hold", "release", "stop"]
    change_form_outer_after_template = "panel/warm_up.html"

    @display(description="Held because")
    def held_because(self, record: WarmUp) -> str | None:
        return record.lock_reason or None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        latest = WarmUpDay.objects.filter(warm_up=OuterRef("pk")).order_by("-on")
        return (
            super()
            .get_queryset(request)
            .select_related("address", "plan")
            .annotate(
                **{f"latest_{name}": Subquery(latest.values(name)[:1]) for name in ("number", "cap", "reason", "on")}
            )
        )

    @display(
        description="State",
        label={"warming up": "info", "waiting": "default", "held": "warning", "warm": "success", "stopped": "default"},
    )
    def state(self, record: WarmUp) -> str:
        return warm_up_overview.state_of(record, timezone.now())

    @display(description="Day")
    def day(self, record: Any) -> str:
        return "–" if record.latest_number is None else f"{record.latest_number} of {len(record.plan.days)}"

    @display(description="Messages today")
    def cap(self, record: Any) -> int | None:
        return None if record.ended_at is not None else record.latest_cap

    @display(description="Warm on")
    def warm_on(self, record: Any) -> Any:
        return warm_up_overview.forecast(record, record.latest_number, record.latest_on)

    @display(description="Why")
    def reason(self, record: Any) -> str:
        return record.latest_reason or ""

    def summary_of(self, request: HttpRequest, record: WarmUp) -> dict[str, Any]:
        return {"warm_up": warm_up_overview.summary(record)}

    @act(
        title="Hold",
        description="The day is repeated until it is released, whatever happens.",
        form=HoldForm,
        icon="lock",
        fits=lambda record: record.ended_at is None and not record.is_locked,
    )
    def hold(self, request: HttpRequest, record: WarmUp, form: ActForm) -> str:
        warm_ups.hold(record.pk, reason=form.cleaned_data["reason"], actor=actor_of(request))
        return f"The warm-up of {record.address} is held."

    @act(
        title="Release",
        description="The next day is decided by what happens again.",
        icon="lock_open",
        fits=lambda record: record.ended_at is None and record.is_locked,
    )
    def release(self, request: HttpRequest, record: WarmUp, form: ActForm) -> str:
        warm_ups.release(record.pk, actor=actor_of(request))
        return f"The warm-up of {record.address} goes on."

    @act(
        title="Stop",
        description="Its caps end at once: the address sends within its rules.",
        icon="stop_circle",
        fits=lambda record: record.ended_at is None,
    )
    def stop(self, request: HttpRequest, record: WarmUp, form: ActForm) -> str:
        warm_ups.stop(record.pk, at=timezone.now(), actor=actor_of(request))
        return f"The warm-up of {record.address} is stopped."
