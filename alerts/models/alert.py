from typing import Self

from django.db import models
from django.db.models import Q

from servers.models import Organization


class AlertQuerySet(models.QuerySet["Alert"]):
    def begun(self) -> Self:
        """Alerts, open or ended, without what has been seen only for a moment."""
        return self.filter(began_at__isnull=False)

    def open(self) -> Self:
        return self.begun().filter(ended_at=None)


class Alert(models.Model):
    """Something that a condition found for an organization or the platform, from its beginning to its end.

    A row comes into being when it is seen for the first time, and begins when it is seen again: what is gone by then leaves
    no alert.
    """

    class Level(models.TextChoices):
        BAD = "bad", "Mail is affected"
        WARN = "warn", "Mail may soon be affected"
        NOTE = "note", "Intended by an operator"

    # Whose people hear of it; None: the platform's.
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, null=True, related_name="alerts")
    # A name of `alerts.conditions.CONDITIONS`.
    condition = models.CharField(max_length=40)
    # What is the same from one look to the next, as in `core.SetAside`.
    key = models.CharField(max_length=300)
    # Whether it stands for more records than are named one by one.
    is_group = models.BooleanField(default=False)
    level = models.CharField(max_length=4, choices=Level.choices)
    text = models.TextField()
    detail = models.TextField(blank=True)
    # The path of the panel's page that resolves it.
    url = models.CharField(max_length=300)
    since = models.DateTimeField()
    # None: it has been seen only for a moment.
    began_at = models.DateTimeField("began", null=True)
    # Since when it has not been found; it ends when that has lasted.
    missed_since = models.DateTimeField(null=True)
    ended_at = models.DateTimeField("ended", null=True)
    # Whether it ended because others took its place: a line for many records, or lines for each.
    is_replaced = models.BooleanField(default=False)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="alerts_alert_one_open_of_platform",
                fields=["key"],
                condition=Q(organization=None, ended_at=None),
                violation_error_message="The alert is open already",
            ),
            models.UniqueConstraint(
                name="alerts_alert_one_open_of_organization",
                fields=["organization", "key"],
                condition=Q(organization__isnull=False, ended_at=None),
                violation_error_message="The alert is open already",
            ),
            models.CheckConstraint(
                name="alerts_alert_ends_after_it_began",
                condition=Q(ended_at=None) | Q(began_at__isnull=False, ended_at__gte=models.F("began_at")),
                violation_error_message="An alert ends after it began",
            ),
        ]
        indexes = [
            # What is past its keeping? Asked by the daily clean-up.
            models.Index(name="alerts_alert_ended", fields=["ended_at"], condition=Q(ended_at__isnull=False)),
            # The panel's list, for the platform's staff: open ones first, as PostgreSQL puts what is empty first here.
            models.Index(name="alerts_alert_listed", fields=["-ended_at", "-id"], condition=Q(began_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def audience(self) -> str:
        """Who acknowledges it, as in `core.SetAside`."""
        return "platform" if self.organization_id is None else f"organization:{self.organization_id}"
