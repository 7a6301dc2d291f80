"""Background tasks of the panel."""

import structlog
from celery import shared_task
from django.utils import timezone

from core import jobs
from panel.bulk import running

log = structlog.get_logger(__name__)


@shared_task
def run_bulk_acts() -> None:
    """Do every bulk act that waits or was left behind, one after the other."""
    while (job := jobs.claim_next(kind=running.KIND, at=timezone.now())) is not None:
        try:
            running.run(job, now=timezone.now)
        except jobs.Superseded:
            log.info("job_superseded", job=job.pk)
        except Exception as error:
            log.exception("job_failed", job=job.pk)
            jobs.fail(job, at=timezone.now(), failure=f"{type(error).__name__}: see the log")
