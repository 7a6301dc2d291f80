"""The holders of permalinks over time, and the reservation of former permalinks.

Events, SMTP users and host names in transit still contain an organization's former permalink. So a permalink that is given up
refers to its former holder for SLUICE_PERMALINK_HOLD more days, and no other organization can take it meanwhile; the platform
can release it earlier. Callers write these rows in their own transaction, under the lock on organizations' names.
"""

import datetime
from collections.abc import Collection, Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from core.acts import locked
from core.audit import Actor, record, snapshot
from core.errors import TAKEN, Conflict, Fault, Invalid
from core.locks import advisory
from servers.access import is_platforms
from servers.models import FormerPermalink, Organization

# An organization that goes through names would keep all of them from others.
MOST_RENAMES = 10
RENAMES_WITHIN = datetime.timedelta(days=30)
_MOMENT = datetime.timedelta(microseconds=1)


def lock_names() -> None:
    """Make acts that take or give up permalinks and names of organizations wait for each other."""
    advisory("servers.organization_names")


def faults(organization: Organization, *, at: datetime.datetime, by: Actor) -> Iterator[Fault]:
    """Yield why the organization may not take the permalink that it is to have, which no other one has now.

    That another one had it, and until when, the platform alone is told.
    """
    kept = FormerPermalink.objects.held(at).filter(permalink=organization.permalink)
    kept = kept.exclude(organization_id=organization.pk)
    until = kept.values_list("held_until", flat=True).first()
    if until is not None:
        reserved = f"was another organization's and is reserved until {until:%Y-%m-%d %H:%M} UTC"
        yield Fault("permalink", reserved if is_platforms(by) else TAKEN)


def held_like(stem: str, *, at: datetime.datetime) -> set[str]:
    """Return the reserved permalinks with this prefix."""
    kept = FormerPermalink.objects.held(at).filter(permalink__startswith=stem)
    return set(kept.values_list("permalink", flat=True))


def holders(names: Collection[str], *, at: datetime.datetime) -> dict[str, int]:
    """Return whose these permalinks are, an organization's id by each: its holder's, else that of whom it is reserved for."""
    kept = FormerPermalink.objects.held(at).filter(permalink__in=names).order_by("until")
    found = dict(kept.values_list("permalink", "organization_id"))
    return found | dict(Organization.objects.filter(permalink__in=names).values_list("permalink", "pk"))


def first_taken(permalink: str, *, at: datetime.datetime) -> datetime.datetime | None:
    """Return since when a new organization has this permalink: always (None) where nobody had it before."""
    return _taken_at(permalink, at) if FormerPermalink.objects.filter(permalink=permalink).exists() else None


def change(organization: Organization, was: str, *, at: datetime.datetime) -> None:
    """Have the organization give up the permalink `was` for the one that it is to have; raises Invalid."""
    renames = FormerPermalink.objects.filter(organization=organization, until__gt=at - RENAMES_WITHIN)
    if renames.count() >= MOST_RENAMES:
        raise Invalid(
            Fault("permalink", f"was changed {MOST_RENAMES} times in {RENAMES_WITHIN.days} days; change it later")
        )
    at = _give_up(organization, was, at)
    organization.permalink_since = _taken_at(organization.permalink, at)


def _give_up(organization: Organization, permalink: str, at: datetime.datetime) -> datetime.datetime:
    """Write that the organization had this permalink until now, and return now: later than when it was taken."""
    since = organization.permalink_since
    # The clocks of two machines differ.
    at = at if since is None else max(at, since + _MOMENT)
    FormerPermalink.objects.create(
        permalink=permalink,
        organization=organization,
        since=since,
        until=at,
        held_until=at + datetime.timedelta(days=settings.SLUICE_PERMALINK_HOLD),
    )
    return at


@transaction.atomic
def release(*, former: FormerPermalink, at: datetime.datetime, actor: Actor) -> FormerPermalink:
    """Release the permalink: it is unknown until another organization takes it. Conflict if it is not reserved."""
    lock_names()
    held = locked(FormerPermalink.objects.all(), former.pk)
    if not held.is_held(at):
        raise Conflict("The permalink is not reserved")
    before = snapshot(held)
    held.held_until = max(at, held.until)
    held.save(update_fields=["held_until"])
    record(
        actor=actor,
        act="former_permalink.released",
        target=held,
        before=before,
        after=snapshot(held),
        organization_id=held.organization_id,
    )
    return held


@transaction.atomic
def keep_reserved(names: Collection[str], *, at: datetime.datetime) -> int:
    """Reserve these former permalinks for the whole time again, if they are reserved still; return how many."""
    lock_names()
    until = at + datetime.timedelta(days=settings.SLUICE_PERMALINK_HOLD)
    kept = FormerPermalink.objects.held(at).filter(permalink__in=names, held_until__lt=until)
    return kept.update(held_until=until)


def _taken_at(permalink: str, at: datetime.datetime) -> datetime.datetime:
    """Return the time from which the permalink has a new holder, and end its reservation."""
    earlier = FormerPermalink.objects.filter(permalink=permalink)
    last = earlier.aggregate(last=Max("until"))["last"]
    since = at if last is None else max(at, last)
    earlier.held(since).update(held_until=since)
    return since
