"""Forms of warm-ups: the choice of a plan for addresses, and the text of a plan's schedule."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from panel.forms.fields import RecordField, day, select, text_input
from panel.record_actions import ActForm
from throttling.models import WarmUpPlan

REASON_LENGTH = 500


class WarmUpForm(ActForm):
    """By which plan, and from when."""

    plan = RecordField(WarmUpPlan.objects.order_by("pk"), widget=select())
    begins_on = forms.DateField(
        label="From",
        widget=day(),
        help_text="A UTC date: today or later. Its caps come within the hour.",
    )


class HoldForm(ActForm):
    """Why a warm-up is held at its day."""

    reason = forms.CharField(max_length=REASON_LENGTH, widget=text_input(), help_text="It stands in the audit trail.")


def written(days: Sequence[int], providers: Mapping[str, Sequence[int]]) -> str:
    """Return a schedule as text: a line a day, the messages in all and then of each provider."""
    return "\n".join(
        "; ".join([str(number), *(f"{name} {numbers[position]}" for name, numbers in sorted(providers.items()))])
        for position, number in enumerate(days)
    )


def read(text: str) -> dict[str, Any]:
    """Return `days` and `providers` of a schedule's text; raises ValidationError with the line that cannot be read."""
    days: list[int] = []
    providers: dict[str, list[int]] = {}
    for position, line in enumerate(each for each in text.splitlines() if each.strip()):
        first, *others = (part.strip() for part in line.split(";"))
        days.append(_number(first, line))
        for other in others:
            name, _, number = other.rpartition(" ")
            numbers = providers.setdefault(name.strip(), [])
            if not name.strip() or len(numbers) != position:
                raise forms.ValidationError(f"“{line.strip()}”: each provider stands once in every line")
            numbers.append(_number(number, line))
    return {"days": days, "providers": providers}


def _number(text: str, line: str) -> int:
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) < 12):
        raise forms.ValidationError(f"“{line.strip()[:60]}” is not read: write “50”, or “50; Gmail 25; Yahoo 25”")
    return int(plain)
