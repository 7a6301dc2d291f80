from django.db import models
from django.db.models import Q

from servers.models import Webhook


class Circuit(models.Model):
    """What is known of a webhook's receiver: how often it failed in a row, and whether calls of it are held back.

    A webhook without one has not been called.
    """

    webhook = models.OneToOneField(Webhook, on_delete=models.CASCADE, primary_key=True, related_name="circuit")
    # Failed attempts since the last one that succeeded.
    failures = models.PositiveIntegerField(default=0)
    # When it last answered, to the hour; None: never.
    answered_at = models.DateTimeField(null=True)
    # Since when its calls are held back. None: they are made.
    opened_at = models.DateTimeField(null=True)
    # When one call is made to see whether it answers again.
    retry_at = models.DateTimeField(null=True)
    # Deliveries that were dropped, oldest first, because more were waiting than are kept.
    dropped = models.PositiveBigIntegerField(default=0)
    dropped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="webhooks_circuit_open",
                condition=Q(opened_at=None, retry_at=None) | Q(opened_at__isnull=False, retry_at__isnull=False),
                violation_error_message="A webhook that is held back is tried again at some time",
            )
        ]

    def __str__(self) -> str:
        return f"circuit of webhook {self.pk}"
