"""Scheduled tasks for nodes. Each finds its work in the database, and can run late, twice or concurrently."""

from celery import shared_task
from django.utils import timezone

from nodes import canary, publishing


@shared_task
def publish() -> None:
    """Publish what has changed, where the platform is set to do so; so that no node need ask for it."""
    publishing.publish_if_changed(now=timezone.now())


@shared_task
def watch_trial() -> None:
    """Look at the revision that is on trial, if there is one."""
    canary.watch(now=timezone.now())
