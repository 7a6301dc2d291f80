"""Scheduled tasks for servers, which find their work in the database and can run late or twice; and e-mails to people."""

from celery import shared_task
from django.utils import timezone

from servers import client_networks, invitations
from servers.domain_checks import check_due_domains
from servers.due_domains import recheck_domains_of_changed_pools
from servers.models import Invitation

# With what is then still in its queue, a sweep is over before the next begins, or soon after.
SWEEP_SECONDS = 40.0


@shared_task
def check_domains() -> None:
    """Check the domains that are due against DNS."""
    recheck_domains_of_changed_pools(at=timezone.now())
    check_due_domains(seconds=SWEEP_SECONDS)


@shared_task
def settle_client_networks() -> None:
    """Mark the SMTP-IP credentials whose networks overlap another organization's, about which nobody has decided."""
    client_networks.settle(at=timezone.now())


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def send_invitation(invitation_id: int) -> None:
    """Send an invitation. Nothing, if it was withdrawn, accepted or declined meanwhile."""
    found = Invitation.objects.open(timezone.now()).filter(pk=invitation_id).select_related("organization")
    if invitation := found.first():
        invitations.send(invitation)
