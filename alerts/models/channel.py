from django.db import models
from django.db.models import Q

from core.encryption import CiphertextField
from servers.models import Organization


class Channel(models.Model):
    """Where the alerts of an organization or of the platform are sent: an e-mail address, or a URL."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook (signed JSON)"
        SLACK = "slack", "Slack (incoming webhook)"

    class Least(models.TextChoices):
        BAD = "bad", "Only what affects mail"
        WARN = "warn", "What affects mail, or soon may"
        NOTE = "note", "Everything"

    # None: the platform's.
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_channels"
    )
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=7, choices=Kind.choices)
    # A URL of Slack's lets its holder write there: it is not shown again.
    sealed_target = CiphertextField(editable=False)
    # What is shown of it: the e-mail address, or the URL's host with a digest of the whole.
    shown_target = models.CharField("sends to", max_length=330)
    least = models.CharField("severity", max_length=4, choices=Least.choices, default=Least.WARN)
    # Names of conditions; empty: all.
    conditions = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    tested_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "alert channel"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="alerts_channel_has_a_target",
                condition=~Q(sealed_target="") & ~Q(shown_target=""),
                violation_error_message="A channel has a target",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def wants(self, condition: str, level: str) -> bool:
        """Whether alerts of this condition and level go to the channel."""
        order = self.Least.values
        return order.index(level) <= order.index(self.least) and (not self.conditions or condition in self.conditions)
