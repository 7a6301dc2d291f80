from django.db import models

from alerts.models.alert import Alert
from alerts.models.channel import Channel
from alerts.models.message import Message


class Notice(models.Model):
    """That a channel is told of an alert, once: of its beginning, its getting worse, its lasting, its end."""

    class What(models.TextChoices):
        BEGAN = "began", "Began"
        WORSE = "worse", "Got worse"
        REMINDER = "reminder", "Lasts"
        ENDED = "ended", "Ended"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="notices")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    what = models.CharField(max_length=8, choices=What.choices)
    # Whole days since the alert began, of a reminder or a worsening: one of each a day.
    day = models.PositiveSmallIntegerField(default=0)
    # How bad it was then.
    level = models.CharField(max_length=4, choices=Alert.Level.choices)
    # None: the message has been forgotten, and the alert is still open.
    message = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="notices")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="alerts_notice_once",
                fields=["alert", "channel", "what", "day"],
                violation_error_message="The channel has been told of it",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.what} of alert {self.alert_id}"
