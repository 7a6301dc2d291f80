"""Trials of a revision in the panel: the form that begins one, and the current result."""

import datetime
from typing import Any

from django import forms

from nodes import canary
from nodes.models import Node, Publication, Revision
from nodes.publishing import Trial
from panel.forms.fields import WholeNumber, number_input

LONGEST = 30 * 24 * 60
# Where nothing is said.
MINUTES, MARGIN = 15, 5


def _names_of_nodes() -> list[tuple[int, str]]:
    return list(Node.objects.order_by("name").values_list("pk", "name"))


class TrialForm(forms.Form):
    """Which nodes get the revision first, for how long, and how much their accepted share may lose."""

    nodes = forms.MultipleChoiceField(
        choices=_names_of_nodes,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Publish to these nodes first",
        help_text="Select none to publish to all nodes at once.",
    )
    minutes = WholeNumber(
        required=False,
        min_value=1,
        max_value=LONGEST,
        initial=MINUTES,
        widget=number_input(),
        help_text="After that, all nodes get the revision, if these have applied it.",
    )
    margin = WholeNumber(
        required=False,
        min_value=0,
        max_value=100,
        initial=MARGIN,
        widget=number_input(),
        label="Percentage points",
        help_text="If receivers accept so much less of their mail than of the other nodes', all get the revision before again.",
    )

    @property
    def trial(self) -> Trial | None:
        """The trial that was asked for; None: all nodes at once."""
        given = self.cleaned_data
        if not given["nodes"]:
            return None
        minutes = MINUTES if given["minutes"] is None else given["minutes"]
        margin = MARGIN if given["margin"] is None else given["margin"]
        return Trial(frozenset(map(int, given["nodes"])), datetime.timedelta(minutes=minutes), margin)


def may_begin() -> bool:
    """Whether a trial is possible: there is a revision to go back to, and another node to compare with."""
    return (
        Revision.objects.exists() and Node.objects.count() > 1 and not Publication.objects.exclude(canary=None).exists()
    )


def running(*, now: datetime.datetime) -> dict[str, Any] | None:
    """Return the trial and its current result for the page; None: there is none."""
    publication = Publication.objects.select_related("canary", "canary_before").filter(canary__isnull=False).first()
    if publication is None:
        return None
    found = canary.watched(publication, now=now)
    return {
        "revision": found.revision,
        "before": publication.canary_before,
        "nodes": ", ".join(
            Node.objects.filter(revision=found.revision).order_by("name_key").values_list("name", flat=True)
        ),
        "ends_at": publication.canary_ends_at,
        "margin": publication.canary_margin,
        "shares": [("On these nodes", found.on_trial), ("On the others", found.others)],
        "least": canary.LEAST_ATTEMPTS,
    }
