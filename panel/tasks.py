"""Background tasks of the panel."""

import datetime

from celery import shared_task
from django.utils import timezone

from core import jobs
from panel.apps import load_pages
from panel.bulk import running
from panel.dashboard import front_page

# So long a worker does bulk acts before it looks for other tasks.
LASTS = datetime.timedelta(seconds=20)


@shared_task
def keep_sums_of_front_page() -> None:
    """Add up what the front page of the platform's staff shows."""
    # Its links are the pages'.
    load_pages()
    front_page.keep_sums(timezone.now())


@shared_task
def run_bulk_acts() -> None:
    """Do bulk acts that wait or were left behind, for a while."""
    # Pages know the acts, and who may do them.
    load_pages()
    if jobs.take_turns(running.KIND, running.run, now=timezone.now, lasts=LASTS):
        # Behind the tasks that wait meanwhile.
        run_bulk_acts.delay()
