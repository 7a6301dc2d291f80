"""Forms for suspending servers and pausing addresses, single or in bulk."""

from typing import Any

from django import forms
from django.utils import timezone

from core import ends
from core.texts import sentence
from panel.forms.fields import date_and_time, text_input
from servers.provisioning import REASON_LENGTH


class ReasonForm(forms.Form):
    """A reason and an end."""

    reason = forms.CharField(max_length=REASON_LENGTH, widget=text_input())
    until = forms.SplitDateTimeField(
        required=False, widget=date_and_time(), help_text="Leave empty to suspend until it is resumed."
    )

    def clean_until(self) -> Any:
        # The act refuses it too, but of many records each for itself.
        until = self.cleaned_data["until"]
        for fault in ends.faults_of("until", until, at=timezone.now()):
            raise forms.ValidationError(sentence(fault.message))
        return until


class SuspensionForm(ReasonForm):
    """The reason and the end of a suspension."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=text_input(), help_text="Visible to everyone who can view the server."
    )
    field_order = ("reason", "until")


class PauseForm(ReasonForm):
    """The reason and the end of a pause."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=text_input(),
        help_text="Shown on the address's page and in the audit trail.",
    )
    until = forms.SplitDateTimeField(
        required=False, widget=date_and_time(), help_text="Leave empty to pause until it is resumed."
    )
    field_order = ("reason", "until")
