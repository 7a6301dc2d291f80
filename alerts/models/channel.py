import datetime
import zoneinfo
from typing import Self

from django.db import models
from django.db.models import F, Q

from core.encryption import CiphertextField
from core.models.user import validate_time_zone
from servers.models import Organization


class ChannelQuerySet(models.QuerySet["Channel"]):
    def told(self) -> Self:
        """Channels to which something is sent: enabled, and of e-mail addresses those that are confirmed."""
        return self.filter(enabled=True).exclude(kind=Channel.Kind.EMAIL, confirmed_at=None)


class Channel(models.Model):
    """Where the alerts of an organization or of the platform are sent (an e-mail address, a URL, a service), and when."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook (signed JSON)"
        SLACK = "slack", "Slack (incoming webhook)"
        TEAMS = "teams", "Microsoft Teams (workflow)"
        PAGERDUTY = "pagerduty", "PagerDuty (Events API v2)"

    class Least(models.TextChoices):
        BAD = "bad", "Only what affects mail"
        WARN = "warn", "What affects mail, or soon may"
        NOTE = "note", "Everything"

    # None: the platform's.
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_channels"
    )
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # Who has a URL of Slack's or Teams', or a key of PagerDuty's, can write there: it is not shown again.
    sealed_target = CiphertextField(editable=False)
    # What is shown of it: the e-mail address, or the host with a digest of the whole.
    shown_target = models.CharField("sends to", max_length=330)
    least = models.CharField("severity", max_length=4, choices=Least.choices, default=Least.WARN)
    # Names of conditions; empty: all.
    conditions = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    # Of whoever reads it: quiet hours and the digest go by it.
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    # Hours of the day, 0 to 23: from one until the other, over midnight where the second is earlier. None: no quiet hours.
    quiet_from = models.PositiveSmallIntegerField("quiet from", null=True, blank=True)
    quiet_until = models.PositiveSmallIntegerField("quiet until", null=True, blank=True)
    # The hour of the day at which everything is told in one message. None: at once.
    digest_at = models.PositiveSmallIntegerField("daily digest at", null=True, blank=True)
    # Whether what affects mail is told at once all the same.
    urgent_at_once = models.BooleanField("what affects mail at once", default=True)
    # The date, in the channel's time zone, of the last digest.
    digested_on = models.DateField(null=True, editable=False)
    # When the mailbox of an e-mail address agreed (alerts/confirming.py). None: not yet; other kinds are not asked.
    confirmed_at = models.DateTimeField("confirmed", null=True, editable=False)
    tested_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ChannelQuerySet.as_manager()

    class Meta:
        verbose_name = "alert channel"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="alerts_channel_has_a_target",
                condition=~Q(sealed_target="") & ~Q(shown_target=""),
                violation_error_message="A channel has a target",
            ),
            models.CheckConstraint(
                name="alerts_channel_kind",
                condition=Q(kind__in=["email", "webhook", "slack", "teams", "pagerduty"]),
                violation_error_message="The kind of a channel is unknown",
            ),
            models.CheckConstraint(
                name="alerts_channel_quiet_hours",
                # A comparison with null is unknown, which a CHECK lets pass.
                condition=Q(quiet_from=None, quiet_until=None)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False, quiet_from__lt=24, quiet_until__lt=24)
                & ~Q(quiet_from=F("quiet_until")),
                violation_error_message="Quiet hours begin and end at two hours from 0 to 23",
            ),
            models.CheckConstraint(
                name="alerts_channel_digest",
                condition=Q(digest_at=None) | Q(digest_at__isnull=False, digest_at__lt=24, quiet_from=None),
                violation_error_message="A digest has an hour from 0 to 23, and no quiet hours",
            ),
            models.CheckConstraint(
                name="alerts_channel_pagerduty_at_once",
                condition=~Q(kind="pagerduty") | Q(digest_at=None, quiet_from=None),
                violation_error_message="PagerDuty is notified at once: it has schedules of its own",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_unconfirmed(self) -> bool:
        """Whether its mailbox has not agreed: no alert is sent to it."""
        return self.kind == self.Kind.EMAIL and self.confirmed_at is None

    def is_quiet(self, at: datetime.datetime) -> bool:
        """Whether it is in its quiet hours."""
        if self.quiet_from is None or self.quiet_until is None:
            return False
        hour = at.astimezone(zoneinfo.ZoneInfo(self.time_zone)).hour
        if self.quiet_from < self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until

    def digest_due(self, at: datetime.datetime) -> datetime.date | None:
        """Return the date of the digest that is due; None: none is."""
        if self.digest_at is None:
            return None
        local = at.astimezone(zoneinfo.ZoneInfo(self.time_zone))
        # The first comes at once: a new channel is told of what is open.
        on = local.date() if local.hour >= self.digest_at else local.date() - datetime.timedelta(days=1)
        return on if self.digested_on is None or self.digested_on < on else None

    def wants(self, condition: str, level: str) -> bool:
        """Whether alerts of this condition and level go to the channel."""
        order = self.Least.values
        return order.index(level) <= order.index(self.least) and (not self.conditions or condition in self.conditions)
