import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from servers.models.server import Server


class SendLimitMarkQuerySet(models.QuerySet["SendLimitMark"]):
    def active(self, at: datetime.datetime) -> Self:
        """Marks that hold at this time."""
        return self.filter(ended_at=None, began_at__lte=at, until__gt=at)


class SendLimitMark(models.Model):
    """That a server came near to one of its send limits, or reached it, in one UTC hour, day or month.

    It begins once and ends once: at the end of the period, or before, where the limit was changed.
    What tells others (webhooks) reads its beginning and its end here.
    """

    class Period(models.TextChoices):
        """What a limit is counted over: the UTC hour, day or month."""

        HOUR = "hour", "an hour"
        DAY = "day", "a day"
        MONTH = "month", "a month"

    class Level(models.TextChoices):
        """How much of the limit was used."""

        APPROACHING = "approaching", "Approaching"
        EXCEEDED = "exceeded", "Reached"

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="send_limit_marks")
    period = models.CharField(max_length=5, choices=Period.choices)
    level = models.CharField(max_length=11, choices=Level.choices)
    # What the limit was, and how many messages had been sent in the period, when it began.
    limit = models.PositiveIntegerField()
    sent = models.PositiveBigIntegerField()
    began_at = models.DateTimeField()
    # The end of the period.
    until = models.DateTimeField()
    # When it ended; null while it holds.
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SendLimitMarkQuerySet.as_manager()

    class Meta:
        verbose_name = "send limit mark"
        ordering = ["-began_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="servers_send_limit_mark_period",
                condition=Q(period__in=["hour", "day", "month"]),
                violation_error_message="A send limit is for an hour, a day or a month",
            ),
            models.CheckConstraint(
                name="servers_send_limit_mark_level",
                condition=Q(level__in=["approaching", "exceeded"]),
                violation_error_message="A send limit is approached or reached",
            ),
            models.CheckConstraint(
                name="servers_send_limit_mark_until",
                condition=Q(until__gt=F("began_at")),
                violation_error_message="It ends after it began",
            ),
            models.UniqueConstraint(
                name="servers_send_limit_mark_one",
                fields=["server", "period", "level"],
                condition=Q(ended_at=None),
                violation_error_message="This server is marked already",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_level_display()}: {self.limit:,} messages {self.get_period_display()}, {self.server}"
