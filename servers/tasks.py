"""What the worker does for servers on a schedule. A task looks for its work in rows, and may run late or twice."""

from celery import shared_task

from servers.domain_checks import check_due_domains

# With what is then still in its queue, a sweep is over before the next begins, or soon after.
SWEEP_SECONDS = 40.0


@shared_task
def check_domains() -> None:
    """Check the domains that are due against DNS."""
    check_due_domains(seconds=SWEEP_SECONDS)
