"""Scheduled tasks for servers. Each finds its work in the database, and can run late or twice."""

from celery import shared_task
from django.utils import timezone

from servers.domain_checks import check_due_domains
from servers.due_domains import recheck_domains_of_changed_pools

# With what is then still in its queue, a sweep is over before the next begins, or soon after.
SWEEP_SECONDS = 40.0


@shared_task
def check_domains() -> None:
    """Check the domains that are due against DNS."""
    recheck_domains_of_changed_pools(at=timezone.now())
    check_due_domains(seconds=SWEEP_SECONDS)
