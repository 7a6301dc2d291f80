"""The task of suppressions: it finds its work in rows, and may run late or twice."""

from celery import shared_task
from django.utils import timezone

from suppressions import retention


@shared_task
def forget_old() -> None:
    """Delete entries that were removed or have expired some weeks ago."""
    retention.delete_old(at=timezone.now())
