"""The task of suppressions: it finds its work in rows, and may run late or twice."""

from celery import shared_task
from django.utils import timezone

from suppressions import forgetting


@shared_task
def forget_old() -> None:
    """Delete entries that were removed or have expired some weeks ago."""
    forgetting.forget_old(at=timezone.now())
