from django.db import models
from django.db.models import Q

from alerts.models.alert import Alert
from alerts.models.channel import Channel
from alerts.models.message import Message


class Notice(models.Model):
    """That a channel is told of an alert, once: of its beginning, its getting worse, its lasting, its end.

    In quiet hours, or until a digest, it is pending: it has no message yet.
    """

    class What(models.TextChoices):
        BEGAN = "began", "Began"
        WORSE = "worse", "Got worse"
        REMINDER = "reminder", "Lasts"
        ENDED = "ended", "Ended"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="notices")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    what = models.CharField(max_length=12, choices=What.choices)
    # Whole days since the alert began, of a reminder, a worsening or an acknowledgement: one of each a day.
    day = models.PositiveSmallIntegerField(default=0)
    # How bad it was then.
    level = models.CharField(max_length=4, choices=Alert.Level.choices)
    # Whether it waits for the end of quiet hours or for the digest.
    is_pending = models.BooleanField(default=False)
    # None: it is pending, or the message has been forgotten and the alert is still open.
    message = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="notices")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="alerts_notice_once",
                fields=["alert", "channel", "what", "day"],
                violation_error_message="The channel has been notified of it",
            ),
            models.CheckConstraint(
                name="alerts_notice_pending",
                condition=Q(is_pending=False) | Q(message=None),
                violation_error_message="What is pending is in no message",
            ),
        ]
        indexes = [
            # What waits for a channel's quiet hours or digest? Asked by each evaluation.
            models.Index(name="alerts_notice_waiting", fields=["channel"], condition=Q(is_pending=True)),
        ]

    def __str__(self) -> str:
        return f"{self.what} of alert {self.alert_id}"
