"""Background tasks of the panel."""

from celery import shared_task
from django.utils import timezone

from core import jobs
from panel.apps import load_pages
from panel.bulk import running


@shared_task
def run_bulk_acts() -> None:
    """Do every bulk act that waits or was left behind, one after the other."""
    # Pages know the acts, and who may do them.
    load_pages()
    jobs.run_all(running.KIND, running.run, now=timezone.now)
