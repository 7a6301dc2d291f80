"""Scheduled tasks for nodes. Each finds its work in the database, and can run late, twice or concurrently."""

from celery import shared_task
from django.utils import timezone

from core import jobs
from nodes import canary, former_names, healing, publishing, replay_jobs


@shared_task
def publish() -> None:
    """Publish changes, if the platform publishes automatically, without waiting for a node's request."""
    publishing.publish_if_changed(now=timezone.now())


@shared_task
def keep_former_names() -> None:
    """Keep the former permalinks reserved that nodes' policies still have."""
    former_names.keep_reserved(at=timezone.now())


@shared_task
def watch_trial() -> None:
    """Check the trial, if there is one."""
    canary.watch(now=timezone.now())


@shared_task
def run_replays() -> None:
    """Do every replay that waits or was left behind, one after the other."""
    jobs.run_all(replay_jobs.KIND, replay_jobs.run, now=timezone.now)


@shared_task
def decide_drains() -> None:
    """Drain addresses in trouble, and restore those that are well, where the operator lets it."""
    healing.decide(now=timezone.now())
