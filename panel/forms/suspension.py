"""What is asked before servers are suspended or addresses paused, one on its page or many from the list."""

from typing import Any

from django import forms
from django.utils import timezone

from panel.forms.fields import date_and_time, text_input
from servers.provisioning import REASON_LENGTH


class ReasonForm(forms.Form):
    """Why, and until when."""

    reason = forms.CharField(max_length=REASON_LENGTH, widget=text_input())
    until = forms.SplitDateTimeField(
        required=False, widget=date_and_time(), help_text="Left empty: until somebody resumes it."
    )

    def clean_until(self) -> Any:
        # The act refuses it too, but of many records each for itself.
        until = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError("Must be in the future")
        return until


class SuspensionForm(ReasonForm):
    """Why, and until when, servers are suspended."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=text_input(), help_text="Everybody who sees the server reads it."
    )
    field_order = ("reason", "until")


class PauseForm(ReasonForm):
    """Why, and until when, no mail leaves by addresses."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=text_input(),
        help_text="It stands on the address's page and in the audit trail.",
    )
    field_order = ("reason", "until")
