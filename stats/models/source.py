"""Event sources: format, token and position, and counts of what they reported."""

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.models import Key, KeyQuerySet
from core.names import NameKeyField
from servers.models import Server

_FORMATS = (
    "native",
    "postfix",
    "exim",
    "haraka",
    "kumomta",
    "powermta",
    "greenarrow",
    "postal",
    "ses",
    "sendgrid",
)


class EventSource(Key):
    """A mail server, a collector or a service that reports events, with a token of its own, which is shown once."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    format = models.CharField(max_length=20, choices=[(word, word) for word in _FORMATS])
    # Of times that say none: an IANA name.
    time_zone = models.CharField(max_length=64, default="UTC")
    # Where a record names its tenant, as `unique_args.tenant`; empty: where the format has it.
    tenant_field = models.CharField(max_length=200, blank=True)
    # Whose an event is that names no tenant and has no known mapping and sender domain.
    default_server = models.ForeignKey(
        Server, on_delete=models.PROTECT, null=True, blank=True, related_name="default_of_sources"
    )
    is_active = models.BooleanField("active", default=True)
    # The public key or certificate that its requests are signed with; empty: the token alone authenticates.
    verification_key = models.TextField(blank=True)

    objects = KeyQuerySet["EventSource"].as_manager()

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                name="stats_eventsource_name_unique",
                fields=["name_key"],
                violation_error_message="An event source with this name exists already",
            ),
            not_empty("stats_eventsource_name", "name", message="An event source needs a name"),
            models.CheckConstraint(
                name="stats_eventsource_format",
                condition=Q(format__in=_FORMATS),
                violation_error_message="The format of an event source is unknown",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SourceMapping(models.Model):
    """A text of a source's records (a VirtualMTA, a queue, a campaign, a mail class) that is mapped to a server."""

    source = models.ForeignKey(EventSource, on_delete=models.CASCADE, related_name="mappings")
    text = models.CharField(max_length=255)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="source_mappings")

    class Meta:
        ordering = ["text"]
        constraints = [
            models.UniqueConstraint(
                name="stats_sourcemapping_unique",
                fields=["source", "text"],
                violation_error_message="This source maps the text already",
            ),
            not_empty("stats_sourcemapping_text", "text", message="A mapping needs a text"),
        ]

    def __str__(self) -> str:
        return f"{self.text} → {self.server}"


class SourceState(models.Model):
    """The state of a log's reader between two deliveries."""

    source = models.OneToOneField(EventSource, on_delete=models.CASCADE, primary_key=True, related_name="state")
    state = models.JSONField()
    # Goes up with each delivery: two deliveries at once do not overwrite each other's.
    version = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"state of {self.source_id}"


class SourceActivity(models.Model):
    """The latest delivery and event of a source."""

    source = models.OneToOneField(EventSource, on_delete=models.CASCADE, primary_key=True, related_name="activity")
    # By our clock.
    last_delivery_at = models.DateTimeField()
    # The time of the latest event of the last delivery that had any, by its own clock, and how long it took to come here.
    last_event_at = models.DateTimeField(null=True)
    lag_seconds = models.FloatField(null=True)

    class Meta:
        verbose_name_plural = "source activities"

    def __str__(self) -> str:
        return f"activity of {self.source_id}"


class SourceOutcome(models.TextChoices):
    """The outcome of a record."""

    ACCEPTED = "accepted", "Accepted"
    DUPLICATE = "duplicates", "Duplicates"
    IGNORED = "ignored", "Ignored"
    CONFLICT = "conflicts", "Conflicts"
    WARNING = "warnings", "Warnings"
    REFUSED = "refused", "Refused"


class SourceCount(models.Model):
    """Counts of a source's records by outcome, hour of arrival and reason."""

    source = models.ForeignKey(EventSource, on_delete=models.CASCADE, related_name="counts")
    # Hours since 1970.
    hour = models.IntegerField()
    outcome = models.CharField(max_length=10, choices=SourceOutcome.choices)
    # The code of a refusal, conflict or warning; the source's own word for what is ignored.
    code = models.CharField(max_length=40, blank=True)
    number = models.BigIntegerField()
    pk = models.CompositePrimaryKey("source_id", "hour", "outcome", "code")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="stats_sourcecount_positive",
                condition=Q(number__gt=0),
                violation_error_message="A count of records is positive",
            ),
            models.CheckConstraint(
                name="stats_sourcecount_outcome",
                condition=Q(outcome__in=SourceOutcome.values),
                violation_error_message="The outcome of a record is unknown",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} × {self.outcome} {self.code}"


class SourceSample(models.Model):
    """The latest record of a source that came to a conflict, a warning or a refusal, by reason; without mailboxes."""

    source = models.ForeignKey(EventSource, on_delete=models.CASCADE, related_name="samples")
    outcome = models.CharField(max_length=10, choices=SourceOutcome.choices)
    code = models.CharField(max_length=40)
    message = models.CharField(max_length=300)
    sample = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["outcome", "code"]
        constraints = [
            models.UniqueConstraint(
                name="stats_sourcesample_unique",
                fields=["source", "outcome", "code"],
                violation_error_message="There is a sample of this reason already",
            ),
            models.CheckConstraint(
                name="stats_sourcesample_outcome",
                condition=Q(outcome__in=["conflicts", "warnings", "refused"]),
                violation_error_message="There are samples of conflicts, warnings and refusals alone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.code}"
