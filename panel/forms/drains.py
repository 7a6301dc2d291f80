"""Forms of drains: a pool's setting, and the confirmation before a drained address sends again."""

import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from ippools.models.drain import REASON_LENGTH
from ippools.models.pool import HIGHEST_SHARE
from panel.forms.fields import WholeNumber, date_and_time, number_input, select, text_input
from panel.record_actions import ActForm

SPARED_FOR = datetime.timedelta(days=1)


class DrainingForm(ActForm):
    """What may become of a pool's addresses in trouble."""

    mode = forms.ChoiceField(required=False, widget=select())
    share = WholeNumber(
        min_value=1,
        max_value=HIGHEST_SHARE,
        widget=number_input(),
        help_text=f"Percent of the pool’s addresses that may be drained at once, 1 to {HIGHEST_SHARE}.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["mode"].choices = [
            ("", f"as the platform ({settings.SLUICE_DRAIN})"),
            ("off", "off: nothing is done"),
            ("watch", "watch: troubles are reported, nothing is drained"),
            ("act", "act: addresses in trouble are drained"),
        ]
        if self.record is not None:
            self.initial.setdefault("mode", self.record.drain_mode)
            self.initial.setdefault("share", self.record.drain_share)


class SpareForm(ActForm):
    """Why a drained address sends again, and until when it is not drained."""

    until = forms.SplitDateTimeField(
        label="Not drained before",
        widget=date_and_time(),
        help_text="Until then it sends, whatever its trouble.",
    )
    reason = forms.CharField(max_length=REASON_LENGTH, widget=text_input(), help_text="It stands in the audit trail.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("until", timezone.now() + SPARED_FOR)
