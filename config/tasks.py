"""Scheduled tasks that concern every app."""

from pathlib import Path

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from config.backups import back_up

logger = structlog.get_logger(__name__)


@shared_task
def make_backup() -> None:
    """Make and verify this day's backup, where a folder is set for it, and copy it out. Failing, it is an error in the log."""
    if not settings.SLUICE_BACKUP_FOLDER:
        return
    folder = Path(settings.SLUICE_BACKUP_FOLDER)
    made = back_up(folder=folder, keep=settings.SLUICE_BACKUP_KEEP, now=timezone.now())
    if made is not None:
        logger.info("backup_made", path=str(made.path), rows=made.rows, bytes=made.path.stat().st_size)
    if settings.SLUICE_BACKUP_BUCKET:
        # Loads a library, which nobody without a bucket needs.
        from config.backup_bucket import copy_out

        for name in copy_out(folder=folder, keep=settings.SLUICE_BACKUP_BUCKET_KEEP):
            logger.info("backup_copied", name=name, bucket=settings.SLUICE_BACKUP_BUCKET)
