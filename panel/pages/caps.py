"""Caps: temporary upper bounds of addresses, with reason and end."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from unfold.decorators import display

from ippools import caps
from ippools.models import AddressCap
from ippools.models.cap import REASON_LENGTH
from panel.filters import by_emptiness
from panel.formatting import limits_in_words
from panel.forms.base import ActingForm
from panel.forms.fields import date_and_time, text_input
from panel.pages import bounded
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from stats import programs
from throttling.limits import CapKind


class AddressCapForm(ActingForm):
    """A cap by hand, for everything that an address sends."""

    labels = {"address": "IP address"}
    helps = {
        "max_messages_per_hour": "Messages per hour and rule. Leave empty for no bound.",
        "max_concurrent_connections": "Concurrent connections per rule. Leave empty for no bound.",
        "until": "Leave empty to keep the cap until it is ended.",
    }

    def act(self) -> AddressCap:
        return caps.begin(
            address_id=self.cleaned_data["address"].pk,
            kind=CapKind.MANUAL,
            reason=self.cleaned_data["reason"],
            until=self.cleaned_data["until"],
            max_messages_per_hour=self.cleaned_data["max_messages_per_hour"],
            max_concurrent_connections=self.cleaned_data["max_concurrent_connections"],
            at=timezone.now(),
            actor=self.actor,
        )


class EndForm(ActForm):
    """Why a cap is ended."""

    reason = forms.CharField(max_length=REASON_LENGTH, widget=text_input(), help_text="It stands in the audit trail.")


class ExtendForm(ActForm):
    """Why, and until when, a cap goes on."""

    until = forms.SplitDateTimeField(widget=date_and_time())
    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=text_input(), help_text="It stands on the cap and in the audit trail."
    )


@admin.register(AddressCap)
class AddressCapAdmin(PanelAdmin):
    """Caps. Programs begin them, or an operator; an operator ends them."""

    form = AddressCapForm
    is_changed = is_deleted = False
    list_display = ["address", "kind", "recipients_in_short", "bounds", "state", "began_at", "until", "reason"]
    list_filter = ["kind", ("ended_at", by_emptiness("state", empty="Not ended", filled="Ended"))]
    list_select_related = ["address"]
    search_fields = ["address__ipv4", "address__name_key"]
    search_help_text = "IPv4 or name of the address"
    autocomplete_fields = ["address"]
    add_fieldsets = (
        (None, {"fields": ["address", "max_messages_per_hour", "max_concurrent_connections", "until", "reason"]}),
    )
    fields = ["address", "kind", "recipients", "bounds", "state", "reason", "began_at", "until", "ended_at"]
    readonly_fields = ["recipients", "bounds", "state"]
    actions_detail = ["extend", "end"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AddressCap]:
        return super().get_queryset(request).prefetch_related("rule__domains")

    @display(description="Recipients")
    def recipients(self, record: AddressCap) -> str:
        return bounded.recipients_of(record)

    @display(description="Recipients")
    def recipients_in_short(self, record: AddressCap) -> str:
        return bounded.recipients_in_short(record)

    @display(description="At most")
    def bounds(self, record: AddressCap) -> str:
        return limits_in_words(record.max_concurrent_connections or 0, record.max_messages_per_hour or 0)

    @display(description="State", label={"in effect": "warning", "ended": "default"})
    def state(self, record: AddressCap) -> str:
        return "in effect" if _is_in_effect(record) else "ended"

    @act(
        title="End",
        description="The address sends within its rules and other caps. A throttle program that set this one starts over.",
        form=EndForm,
        icon="play_arrow",
        fits=lambda record: _is_in_effect(record),
    )
    def end(self, request: HttpRequest, record: AddressCap, form: ActForm) -> str:
        programs.end(record.pk, at=timezone.now(), actor=actor_of(request), reason=form.cleaned_data["reason"])
        return f"The cap of {record.address} has ended."

    @act(
        title="Extend",
        description="It goes on until another time. A throttle program that set it then judges what came from now on.",
        form=ExtendForm,
        icon="update",
        fits=lambda record: _is_in_effect(record) and record.kind != CapKind.WARM_UP.value,
    )
    def extend(self, request: HttpRequest, record: AddressCap, form: ActForm) -> str:
        until = form.cleaned_data["until"]
        programs.extend(
            record.pk, until=until, reason=form.cleaned_data["reason"], at=timezone.now(), actor=actor_of(request)
        )
        return f"The cap of {record.address} goes on until {formats.localize(timezone.localtime(until))}."


def _is_in_effect(record: Any) -> bool:
    return record.ended_at is None and (record.until is None or record.until > timezone.now())
