"""Drains: addresses in trouble, what became of it, and why."""

from collections.abc import Collection
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import formats, timezone
from unfold.decorators import display

from alerts.topics.drains import kinds, recipients
from ippools import drains
from ippools.models import AddressDrain
from panel.filters import by_emptiness
from panel.forms.drains import SpareForm
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of

# So many stand on the page of a pool.
SHOWN = 20
# What `of_addresses` returns of addresses without drains.
NOTHING: dict[str, Any] = {"drains": [], "has_more_drains": False, "knows_reasons": False}


@admin.register(AddressDrain)
class AddressDrainAdmin(PanelAdmin):
    """Drains. The worker begins and ends them; an operator can take an address out."""

    is_added = is_changed = is_deleted = False
    list_display = ["address", "state", "recipients", "troubles", "began_at", "well_since", "ended_at", "reason"]
    list_filter = ["effect", ("ended_at", by_emptiness("state", empty="Not ended", filled="Ended"))]
    list_select_related = ["address"]
    search_fields = ["address__ipv4", "address__name_key"]
    search_help_text = "IPv4 or name of the address"
    fields = [
        "address", "state", "recipients", "troubles", "reason", "began_at", "drained_at", "well_since", "ended_at",
        "ended_because", "spared_until",
    ]  # fmt: skip
    readonly_fields = ["state", "recipients", "troubles"]
    actions_detail = ["spare"]

    @display(
        description="State",
        label={"drained": "danger", "not drained": "warning", "only reported": "warning", "ended": "default"},
    )
    def state(self, record: AddressDrain) -> str:
        return "ended" if record.ended_at is not None else record.get_effect_display().lower()

    @display(description="Recipients")
    def recipients(self, record: AddressDrain) -> str:
        return recipients(record.providers)

    @display(description="Trouble")
    def troubles(self, record: AddressDrain) -> str:
        return kinds(record.kinds)

    @act(
        title="Restore",
        description="The address sends again at once, and is not drained for a time.",
        form=SpareForm,
        icon="play_arrow",
        fits=lambda record: record.ended_at is None,
    )
    def spare(self, request: HttpRequest, record: AddressDrain, form: ActForm) -> str:
        until = form.cleaned_data["until"]
        drains.spare(
            record.pk, reason=form.cleaned_data["reason"], until=until, at=timezone.now(), actor=actor_of(request)
        )
        return f"{record.address} sends again. It is not drained before {formats.localize(timezone.localtime(until))}."


def of_addresses(address_ids: Collection[int], *, is_platform: bool) -> dict[str, Any]:
    """Return the context of `panel/parts/drains.html`: to an organization only what keeps its mail from an address."""
    rows = AddressDrain.objects.open() if is_platform else AddressDrain.objects.in_effect()
    found = rows.filter(address__in=address_ids).select_related("address").order_by("began_at", "pk")[: SHOWN + 1]
    shown = [
        {
            "drain": row,
            "recipients": recipients(row.providers),
            "kinds": kinds(row.kinds),
        }
        for row in found
    ]
    return {"drains": shown[:SHOWN], "has_more_drains": len(shown) > SHOWN, "knows_reasons": is_platform}
