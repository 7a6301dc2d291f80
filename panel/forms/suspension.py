"""What is asked before servers are suspended, one on its page or many from the list."""

from typing import Any

from django import forms
from django.utils import timezone

from panel.forms.fields import date_and_time, text_input
from servers.provisioning import REASON_LENGTH


class SuspensionForm(forms.Form):
    """Why, and until when."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=text_input(), help_text="Everybody who sees the server reads it."
    )
    until = forms.SplitDateTimeField(
        required=False, widget=date_and_time(), help_text="Left empty: until somebody resumes it."
    )

    def clean_until(self) -> Any:
        # The act refuses it too, but of many servers each for itself.
        until = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError("Must be in the future")
        return until
