import datetime
import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from servers.models import Server, Webhook


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> Self:
        """Deliveries that are still to be made."""
        return self.filter(due_at__isnull=False)

    def due(self, at: datetime.datetime) -> Self:
        return self.filter(due_at__lte=at)


class Delivery(models.Model):
    """One call of a webhook for one event, and what came of it.

    It keeps the recipient's mailbox, which goes with it: `body` and `answer` may hold one.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # Its indexes are below.
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    # The webhook's, so that a server's last deliveries are found by one look into an index.
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = models.CharField(max_length=32)
    # The request's body, byte for byte: ASCII, and the same at each attempt.
    body = models.TextField()
    created_at = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    # When the next attempt is due; while one is under way, when another worker may take it for lost. None: none is.
    due_at = models.DateTimeField(null=True)
    # Until when it is tried.
    until = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    # The status and the beginning of the last answer; None where there was none, and `error` says why.
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True)
    error = models.CharField(max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="webhooks_delivery_due",
                condition=Q(state="waiting", due_at__isnull=False)
                | Q(state__in=["delivered", "failed"], due_at__isnull=True),
                violation_error_message="A delivery is due exactly while it is waiting",
            ),
        ]
        indexes = [
            # What is due for a webhook? Asked by each worker for each webhook, again and again.
            models.Index(name="webhooks_delivery_due", fields=["webhook", "due_at"], condition=Q(due_at__isnull=False)),
            # The last deliveries of a server, for its page, the list and the API.
            models.Index(name="webhooks_delivery_latest", fields=["server", "-id"]),
            # What is past its keeping? Asked by the daily clean-up.
            models.Index(name="webhooks_delivery_old", fields=["created_at"], condition=Q(due_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.uuid}"
