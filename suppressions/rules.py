"""The rules by which events suppress addresses, and their change by an organization's people."""

import datetime
from collections.abc import Iterator
from typing import Any

from core.acts import assign, save_columns
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.errors import Fault, Invalid
from servers.models import Organization
from suppressions.lists import held
from suppressions.models import SuppressionList
from suppressions.models.suppression_list import MOST_BOUNCES, MOST_DAYS

CHANGEABLE = (
    "suppresses_bounces",
    "bounce_threshold",
    "suppresses_complaints",
    "scope",
    "valid_days",
    "keeps_addresses",
    "at_submission",
)
# Bounces that are further apart are not counted together, and older ones suppress nothing: mailboxes come into being, too.
COUNTED_FOR = datetime.timedelta(days=30)


def document(of: SuppressionList) -> dict[str, Any]:
    """Return the rules as JSON values, for the audit trail."""
    return {name: getattr(of, name) for name in CHANGEABLE}


def _faults(of: SuppressionList) -> Iterator[Fault]:
    if not 1 <= of.bounce_threshold <= MOST_BOUNCES:
        yield Fault("bounce_threshold", f"must be from 1 to {MOST_BOUNCES}")
    if of.valid_days is not None and not 1 <= of.valid_days <= MOST_DAYS:
        yield Fault("valid_days", f"must be from 1 to {MOST_DAYS}, or empty")
    if of.scope not in SuppressionList.Scope.values:
        yield Fault("scope", "must be server or organization")
    if of.at_submission not in SuppressionList.Submission.values:
        yield Fault("at_submission", "must be refuse or drop")


@atomic_act
def change_rules(*, organization: Organization, actor: Actor, **changes: Any) -> SuppressionList:
    """Change an organization's rules; omitted fields are kept. Raises Invalid.

    Entries stay as they are: with `keeps_addresses` only those that are written from now on have their clear address, and
    without it none of them has.
    """
    if unknown := set(changes) - set(CHANGEABLE):
        raise TypeError(f"{', '.join(sorted(unknown))} cannot be set by this act")
    of = SuppressionList.objects.filter(pk=organization.pk).first() or SuppressionList(organization=organization)
    if document(of) == document(of) | changes:
        return of
    of = held([organization.pk])[organization.pk]
    before = document(of)
    assign(of, changes)
    if faults := list(_faults(of)):
        raise Invalid(*faults)
    after = document(of)
    if after != before:
        # Nodes that have another number ask for what is new.
        of.number += after["at_submission"] != before["at_submission"]
        save_columns(of, {*CHANGEABLE, "number"})
        if before["keeps_addresses"] and not after["keeps_addresses"]:
            of.organization.suppressions.exclude(address="").update(address="")
        record(
            actor=actor,
            act="suppression_list.changed",
            target=of,
            before=before,
            after=after,
            organization_id=organization.pk,
        )
    return of
