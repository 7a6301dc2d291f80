"""The form of an organization's suppression rules."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from panel.forms.fields import WholeNumber, number_input, select
from panel.record_actions import ActForm
from suppressions.models import SuppressionList
from suppressions.models.suppression_list import MOST_BOUNCES, MOST_DAYS
from suppressions.rules import document


class SuppressionRulesForm(ActForm):
    """What events suppress, for whom and how long, and what nodes do with a suppressed recipient."""

    suppresses_bounces = forms.BooleanField(
        required=False, label="Suppress addresses that do not exist", widget=UnfoldBooleanSwitchWidget()
    )
    bounce_threshold = WholeNumber(
        min_value=1, max_value=MOST_BOUNCES, label="After so many bounces", widget=number_input(),
        help_text="Bounces of one address and server that are not more than 30 days apart.",
    )  # fmt: skip
    suppresses_complaints = forms.BooleanField(
        required=False, label="Suppress addresses that complained", widget=UnfoldBooleanSwitchWidget()
    )
    scope = forms.ChoiceField(choices=SuppressionList.Scope.choices, label="For", widget=select())
    valid_days = WholeNumber(
        required=False, min_value=1, max_value=MOST_DAYS, label="Days of validity", widget=number_input(),
        help_text="From the event on. Leave empty to suppress until the entry is removed.",
    )  # fmt: skip
    at_submission = forms.ChoiceField(
        choices=SuppressionList.Submission.choices, label="At submission", widget=select()
    )
    keeps_addresses = forms.BooleanField(
        required=False, label="Keep the clear addresses", widget=UnfoldBooleanSwitchWidget(),
        help_text="Of new entries, encrypted. Otherwise only a digest and r…r@gmail.com are stored. Turning it off deletes the"
        " addresses that are kept.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rules = SuppressionList.objects.filter(pk=self.record.pk).first() if self.record else None
        for name, value in document(rules or SuppressionList()).items():
            self.fields[name].initial = value
