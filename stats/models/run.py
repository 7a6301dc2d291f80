from django.db import models
from django.db.models import F, Q


class RollupRun(models.Model):
    """One run of fold, audit, rebuild or retention, for operators.

    A fold that finds nothing to do leaves none.
    """

    class Kind(models.TextChoices):
        FOLD = "fold", "Fold"
        CLOSE_DAY = "close_day", "Close a day"
        AUDIT = "audit", "Audit"
        REBUILD = "rebuild", "Rebuild"
        DROP = "drop", "Drop old events"

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        DIFFERENT = "different", "Counts differ"
        FAILED = "failed", "Failed"

    kind = models.CharField(max_length=9, choices=Kind.choices)
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    batches = models.PositiveIntegerField(default=0)
    events = models.PositiveBigIntegerField(default=0)
    # Counter rows written, or found different by an audit.
    rows = models.PositiveBigIntegerField(default=0)
    # How old the oldest batch was that it folded. None where nothing was folded.
    lag_seconds = models.FloatField(null=True)
    detail = models.TextField(blank=True)

    class Meta:
        verbose_name = "roll-up run"
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="stats_rolluprun_kind",
                condition=Q(kind__in=["fold", "close_day", "audit", "rebuild", "drop"]),
                violation_error_message="The kind of a run is unknown",
            ),
            models.CheckConstraint(
                name="stats_rolluprun_outcome",
                condition=Q(outcome__in=["done", "different", "failed"]),
                violation_error_message="A run is done, finds a difference or fails",
            ),
            models.CheckConstraint(
                name="stats_rolluprun_forward",
                condition=Q(started_at__lte=F("finished_at")),
                violation_error_message="A run cannot end before it starts",
            ),
        ]
        indexes = [
            # The panel's list, newest first, and the removal of old runs.
            models.Index(name="stats_rolluprun_started", fields=["-started_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.started_at:%-d %b %Y, %H:%M:%S} UTC"

    @property
    def duration_seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()
