import datetime

from django.db import models
from django.db.models import F, Q

# A job whose worker has not been heard of for this long is taken up by another one.
STALE_AFTER = datetime.timedelta(minutes=2)


class JobQuerySet(models.QuerySet["Job"]):
    def claimable(self, at: datetime.datetime) -> "JobQuerySet":
        """Waiting jobs, and jobs with a silent worker."""
        # A sign of life of the future was written by a clock that was ahead.
        silent = Q(heartbeat_at__lt=at - STALE_AFTER) | Q(heartbeat_at__gt=at + STALE_AFTER)
        return self.filter(Q(state=Job.State.WAITING) | Q(silent, state=Job.State.RUNNING))

    def running(self, at: datetime.datetime) -> "JobQuerySet":
        """Jobs that a worker is at."""
        return self.filter(state=Job.State.RUNNING, heartbeat_at__range=(at - STALE_AFTER, at + STALE_AFTER))


class Job(models.Model):
    """A background job as a row: its work, its progress, and the sign of life of its worker.

    A Celery message is only a request to look here, because the embedded broker loses running messages when a worker is killed.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    kind = models.CharField(max_length=60)
    label = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    # Where to continue; written in the transaction of its step.
    cursor = models.JSONField(null=True)
    progress_done = models.PositiveBigIntegerField(default=0)
    # None until it is known.
    progress_total = models.PositiveBigIntegerField(null=True)
    outcome = models.JSONField(null=True)
    failure = models.TextField(blank=True)
    organization_id = models.BigIntegerField(null=True)
    user_id = models.BigIntegerField(null=True)
    # How often it was taken up: the number by which a worker proves that the job is still its own.
    attempt = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="core_job_state",
                condition=Q(state__in=["waiting", "running", "done", "failed"]),
                violation_error_message="A job waits, runs, is done or has failed",
            ),
            models.CheckConstraint(
                name="core_job_finished",
                condition=Q(finished_at=None) & ~Q(state__in=["done", "failed"])
                | Q(finished_at__isnull=False, state__in=["done", "failed"]),
                violation_error_message="A job has an end exactly when it is done or has failed",
            ),
            models.CheckConstraint(
                name="core_job_progress",
                condition=Q(progress_total=None) | Q(progress_done__lte=F("progress_total")),
                violation_error_message="A job cannot have done more than all",
            ),
        ]
        indexes = [
            # Which jobs wait or were left behind?
            models.Index(name="core_job_open", fields=["id"], condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return self.label
