import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from alerts.models.channel import Channel
from alerts.models.report import Report


class MessageQuerySet(models.QuerySet["Message"]):
    def due(self, at: object) -> Self:
        """Reports, and messages of channels to which something is sent, that may be sent now."""
        return self.filter(Q(channel=None) | Q(channel__in=Channel.objects.told()), due_at__lte=at)


class Message(models.Model):
    """One message to a channel, of one alert or of many, or the e-mail of a report; and what came of it."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, related_name="messages")
    report = models.OneToOneField(Report, on_delete=models.CASCADE, null=True, related_name="message")
    # The same at each attempt: the Message-ID of an e-mail, `uuid` in JSON. A receiver knows a repetition by it.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    subject = models.CharField(max_length=300)
    # The text of an e-mail, or the body of a request.
    body = models.TextField()
    created_at = models.DateTimeField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    # When the next attempt is due; while one is under way, when another worker may take it for lost. None: none is.
    due_at = models.DateTimeField(null=True)
    # Until when it is tried.
    until = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="alerts_message_due",
                condition=Q(state="waiting", due_at__isnull=False)
                | Q(state__in=["sent", "failed"], due_at__isnull=True),
                violation_error_message="A message is due exactly while it is waiting",
            ),
            models.CheckConstraint(
                name="alerts_message_recipient",
                condition=Q(channel=None, report__isnull=False) | Q(channel__isnull=False, report=None),
                violation_error_message="A message is for a channel, or of a report",
            ),
        ]
        indexes = [
            # What is due? Asked by each run.
            models.Index(name="alerts_message_waiting", fields=["due_at"], condition=Q(due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.subject
