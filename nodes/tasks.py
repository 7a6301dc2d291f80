"""The tasks of nodes: each finds its work in rows, may run late, twice or beside itself, and reads the clock here."""

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
