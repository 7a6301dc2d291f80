"""Scheduled tasks for nodes. Each finds its work in the database, and can run late, twice or concurrently."""

import datetime

from celery import shared_task
from django.utils import timezone

from core import jobs
from nodes import canary, former_names, healing, publication_jobs, publishing, replay_jobs

# So long a worker does replays before it looks for other tasks.
LASTS = datetime.timedelta(seconds=20)


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
    """Do replays that wait or were left behind, for a while."""
    if jobs.take_turns(replay_jobs.KIND, replay_jobs.run, now=timezone.now, lasts=LASTS):
        # Behind the tasks that wait meanwhile.
        run_replays.delay()


@shared_task
def run_publications() -> None:
    """Make previews and publications that were requested, for a while."""
    kinds = (publication_jobs.PUBLICATION, publication_jobs.PREVIEW)
    left = [jobs.take_turns(kind, publication_jobs.run, now=timezone.now, lasts=LASTS) for kind in kinds]
    if any(left):
        run_publications.delay()


@shared_task
def decide_drains() -> None:
    """Drain addresses in trouble, and restore those that are well, where the operator lets it."""
    healing.decide(now=timezone.now())
