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
    """Make and verify this day's backup, where a folder is set for it. Failing, it is an error in the log."""
    if not settings.SLUICE_BACKUP_FOLDER:
        return
    made = back_up(folder=Path(settings.SLUICE_BACKUP_FOLDER), keep=settings.SLUICE_BACKUP_KEEP, now=timezone.now())
    if made is not None:
        logger.info("backup_made", path=str(made.path), rows=made.rows, bytes=made.path.stat().st_size)
