"""Trials of a revision: watched on some nodes first, then published to all or rolled back automatically."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q

from core import sql_lists
from core.audit import Actor, record
from nodes.models import Node, NodeAddress, NodePolicy, NodeReport, Publication, Revision
from nodes.publishing import roll_back
from stats.counts import buckets
from stats.kinds import Kind
from stats.ledger import keys
from stats.models import Event

# Fewer attempts than these say nothing of a share.
LEAST_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class Share:
    """The accepted and all attempts of some nodes."""

    attempts: int
    accepted: int

    @property
    def percent(self) -> float:
        """The accepted share; 100 where there was no attempt."""
        return 100.0 if not self.attempts else 100 * self.accepted / self.attempts


@dataclass(frozen=True, slots=True)
class Watched:
    """The current result of a trial: both shares, and a sentence if it has failed."""

    revision: Revision
    on_trial: Share
    others: Share
    failure: str


def watch(*, now: datetime.datetime) -> str:
    """Check the trial, if there is one, and end it if necessary; return what was done, empty for nothing."""
    publication = Publication.objects.select_related("canary", "canary_before").filter(canary__isnull=False).first()
    if publication is None:
        return ""
    found = watched(publication, now=now)
    before = publication.canary_before
    if before is not None and found.failure:
        revision = roll_back(number=before.number, actor=Actor.system(), now=now)
        _record("revision.trial_failed", found, {"failure": found.failure, "back_by": revision.number})
        return found.failure
    if publication.canary_ends_at is not None and now >= publication.canary_ends_at:
        return _pass_on(found)
    return ""


def watched(publication: Publication, *, now: datetime.datetime) -> Watched:
    """Return the current result of the trial, in 4 queries. The publication must have a trial."""
    revision, began, ends = publication.canary, publication.canary_began_at, publication.canary_ends_at
    if revision is None or began is None or ends is None:
        raise ValueError("there is no trial")
    first = {node.pk: node.name for node in Node.objects.filter(revision=revision)}
    others = set(Node.objects.exclude(pk__in=first).values_list("pk", flat=True))
    on_trial, rest = (share_of(ids, since=began, now=now) for ids in (first, others))
    failure = ""
    margin = publication.canary_margin or 0
    if min(on_trial.attempts, rest.attempts) >= LEAST_ATTEMPTS and on_trial.percent < rest.percent - margin:
        names = ", ".join(sorted(first.values()))
        failure = (
            f"Of {on_trial.attempts:,} attempts on {names} receivers accepted {on_trial.percent:.1f} %,"
            f" of {rest.attempts:,} on the other nodes {rest.percent:.1f} %: more than {margin} points less"
        )
    elif now >= ends:
        applied = NodeReport.objects.filter(node__in=first, revision_applied__gte=revision.number)
        missing = first.keys() - set(applied.values_list("node_id", flat=True))
        if missing:
            failure = f"{', '.join(sorted(first[pk] for pk in missing))} did not apply it in time"
    return Watched(revision, on_trial, rest, failure)


def share_of(nodes: Collection[int], *, since: datetime.datetime, now: datetime.datetime) -> Share:
    """Return the acceptance of these nodes' addresses, from the events since then."""
    addresses = NodeAddress.objects.filter(node__in=list(nodes)).values_list("ip_address_id", flat=True)
    counted = Event.objects.filter(
        key__gte=keys.least_key(buckets.day_of(since)),
        key__lt=keys.least_key(buckets.day_of(now) + 1),
        minute__range=(buckets.minute_of(since), buckets.minute_of(now)),
        address_id__in=sql_lists.ids(addresses),
        kind__in=(Kind.SENT, Kind.DEFERRED, Kind.BOUNCED),
    ).aggregate(attempts=Count("*"), accepted=Count("pk", filter=Q(kind=Kind.SENT)))
    return Share(counted["attempts"], counted["accepted"])


@transaction.atomic
def _pass_on(found: Watched) -> str:
    publication = Publication.objects.select_for_update().get(pk=1)
    if publication.canary_id != found.revision.pk:
        # Another revision was published in the meantime.
        return ""
    publication.end_trial()
    publication.save()
    known = NodePolicy.objects.filter(revisions__revision=found.revision).values("node_id")
    Node.objects.filter(pk__in=known).update(revision=found.revision)
    _record("revision.trial_passed", found, {})
    return f"{found.revision} is on all nodes"


def _record(act: str, found: Watched, more: dict[str, object]) -> None:
    after = {
        "attempts": found.on_trial.attempts,
        "accepted_percent": round(found.on_trial.percent, 1),
        "others_attempts": found.others.attempts,
        "others_accepted_percent": round(found.others.percent, 1),
        **more,
    }
    record(actor=Actor.system(), act=act, target=found.revision, after=after)
