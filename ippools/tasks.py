"""Scheduled tasks for addresses. Each finds its work in the database, and can run late or twice."""

from celery import shared_task
from django.utils import timezone

from ippools import blocklists, pausing
from ippools.identity import check_due_addresses

# With what is then still in its queue, a sweep is over before the next begins, or soon after.
SWEEP_SECONDS = 40.0


@shared_task
def check_addresses() -> None:
    """Check the DNS identity of due addresses."""
    check_due_addresses(at=timezone.now(), seconds=SWEEP_SECONDS)


@shared_task
def resume_addresses() -> None:
    """Resume the addresses whose pause has ended."""
    pausing.resume_due(at=timezone.now())


@shared_task
def check_blocklists() -> None:
    """Check the zones of blocklists, and ask those that can be believed about due addresses."""
    blocklists.check_due_zones(seconds=10.0)
    blocklists.check_due_listings(seconds=SWEEP_SECONDS)
