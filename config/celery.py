"""The Celery application and its schedule, as one table."""

import os
from datetime import timedelta

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_init, celeryd_init, setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("sluice")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Gives a task's log lines the id of the request that sent it.
app.steps["worker"].add(DjangoStructLogInitStep)

# (name, task, when, seconds after which an unstarted message is dropped). A task is idempotent, may run late or twice, and
# finds its work in rows; so a message that nobody fetched in time is worth nothing, and the next one does its work.
SCHEDULE: list[tuple[str, str, timedelta | crontab, int]] = [
    ("count new events", "stats.tasks.fold_batches", timedelta(seconds=5), 5),
    ("pass on left batches", "stats.tasks.pass_on_batches", timedelta(seconds=10), 10),
    ("decide back-offs", "stats.tasks.decide_backoff", timedelta(seconds=10), 10),
    ("decide send limits", "stats.tasks.decide_send_limits", timedelta(seconds=5), 5),
    ("decide warm-ups", "stats.tasks.decide_warm_up", crontab(minute=20), 1800),
    ("check the day that ended", "stats.tasks.roll_up_day", crontab(minute=10, hour=0), 3600),
    ("check all counts", "stats.tasks.audit_counts", crontab(minute=40, hour=2), 3600),
    ("publish policies", "nodes.tasks.publish", timedelta(seconds=5), 5),
    ("keep names of published policies", "nodes.tasks.keep_former_names", crontab(minute=45), 1800),
    ("decide drains", "nodes.tasks.decide_drains", timedelta(seconds=60), 55),
    ("watch a revision on trial", "nodes.tasks.watch_trial", timedelta(seconds=10), 10),
    ("preview and publish on large platforms", "nodes.tasks.run_publications", timedelta(seconds=30), 30),
    ("replay drafts of revisions", "nodes.tasks.run_replays", timedelta(seconds=30), 30),
    ("make a backup", "config.tasks.make_backup", crontab(minute=20, hour=3), 3600),
    ("make partitions ahead", "stats.tasks.make_partitions", crontab(minute=20, hour=1), 3600),
    ("drop old events", "stats.tasks.drop_old_events", crontab(minute=30, hour=1), 3600),
    ("forget expired sessions", "core.tasks.forget_sessions", crontab(minute=50, hour=1), 3600),
    ("do bulk acts of the panel", "panel.tasks.run_bulk_acts", timedelta(seconds=30), 30),
    ("keep the sums of the front page", "panel.tasks.keep_sums_of_front_page", timedelta(seconds=60), 55),
    ("prune fine counts", "stats.tasks.prune_counts", timedelta(minutes=15), 900),
    ("deliver webhooks", "webhooks.tasks.deliver", timedelta(seconds=5), 5),
    ("tell webhooks of domains", "webhooks.tasks.announce_domain_errors", timedelta(seconds=60), 55),
    ("keep webhooks in bounds", "webhooks.tasks.keep_in_bounds", timedelta(seconds=60), 55),
    ("forget old deliveries", "webhooks.tasks.forget_old", crontab(minute=25), 3600),
    ("forget old suppressions", "suppressions.tasks.forget_old", crontab(minute=15, hour=2), 3600),
    ("evaluate alerts", "alerts.tasks.evaluate", timedelta(seconds=60), 55),
    ("send alerts", "alerts.tasks.send", timedelta(seconds=15), 15),
    ("write weekly reports", "alerts.tasks.write_reports", crontab(minute=25), 1800),
    ("forget old alerts", "alerts.tasks.forget_old", crontab(minute=35, hour=1), 3600),
    ("settle client networks", "servers.tasks.settle_client_networks", timedelta(seconds=60), 55),
    ("check domains", "servers.tasks.check_domains", timedelta(seconds=60), 55),
    ("resume paused addresses", "ippools.tasks.resume_addresses", timedelta(seconds=30), 30),
    ("check addresses", "ippools.tasks.check_addresses", timedelta(seconds=60), 55),
    ("ask blocklists", "ippools.tasks.check_blocklists", timedelta(seconds=60), 55),
]

# What these delete is old by the clock alone: they are not sent while it may be wrong.
DELETING = frozenset(
    {
        "drop old events",
        "prune fine counts",
        "forget expired sessions",
        "forget old deliveries",
        "forget old suppressions",
        "forget old alerts",
    }
)
# Seconds by which the clock of a worker may be ahead of beat's, at least: whether a message has expired, each tells by its own.
APART = 60

app.conf.beat_schedule = {
    name: {"task": task, "schedule": when, "options": {"expires": max(expires, APART)}}
    for name, task, when, expires in SCHEDULE
}
app.conf.beat_scheduler = "config.schedule:Schedule"


@setup_logging.connect
def leave_logging_to_django(**_: object) -> None:
    """Keep Celery from configuring the root logger: a signal receiver disables that."""


@celeryd_init.connect
def prepare_worker(**_: object) -> None:
    """Refuse to start where the web process would, and give each process a connection of its own.

    A pool made before the worker forks would be shared by processes that know nothing of each other.
    """
    prepare("worker")


@beat_init.connect
def prepare_beat(**_: object) -> None:
    """Refuse to start where the web process would, and where its lock would be nobody's."""
    from config import checks

    checks.refuse_shared_sessions()
    prepare("beat")


def prepare(process: str) -> None:
    """Do what a worker and beat have in common before they start."""
    from django.conf import settings

    from config import checks

    checks.refuse_unreadable_secrets()
    checks.leave_pools()
    if settings.SLUICE_OTLP_ENDPOINT:
        from config import tracing

        tracing.start(process)
