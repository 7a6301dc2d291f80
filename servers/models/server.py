import datetime
import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.names import PERMALINK_LENGTH, NameKeyField
from core.related_counts import count_of
from ippools.models import IPPool
from servers.models.organization import Organization


class ServerQuerySet(models.QuerySet["Server"]):
    def living(self) -> Self:
        return self.filter(deleted_at=None)

    def suspended(self, at: datetime.datetime) -> Self:
        """Living servers that are suspended themselves at this time; an organization's suspension is its own."""
        until = Q(suspended_until=None) | Q(suspended_until__gt=at)
        return self.living().filter(until, suspended_at__isnull=False)

    def with_counts(self) -> Self:
        """Adds domains_count, credentials_count, webhooks_count and routes_count, in the same query."""
        relations = ("domains", "credentials", "webhooks", "routes")
        return self.annotate(**{f"{each}_count": count_of(Server, each) for each in relations})


class Server(models.Model):
    """One stream of an organization's mail, with its own keys and statistics (Postal: mail server).

    Deletion is soft. A deleted server's name and permalink are free again; only servers of its organization can take them.
    """

    class Mode(models.TextChoices):
        """A development server holds all mail."""

        LIVE = "live", "Live"
        DEVELOPMENT = "development", "Development"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="servers")
    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    permalink = models.SlugField(max_length=PERMALINK_LENGTH)
    mode = models.CharField(max_length=11, choices=Mode.choices, default=Mode.LIVE)
    ip_pool = models.ForeignKey(
        IPPool, on_delete=models.PROTECT, null=True, blank=True, related_name="servers", verbose_name="IP pool"
    )
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    # None: until it is resumed.
    suspended_until = models.DateTimeField(null=True, blank=True, editable=False)
    suspension_reason = models.CharField(max_length=500, blank=True, editable=False)
    # Then the organization's people cannot resume it.
    suspended_by_platform = models.BooleanField(default=False, editable=False)
    privacy_mode = models.BooleanField(default=False)
    # Messages sent in a UTC hour, day and month. None: no limit.
    send_limit = models.PositiveIntegerField("send limit an hour", null=True, blank=True)
    send_limit_a_day = models.PositiveIntegerField("send limit a day", null=True, blank=True)
    send_limit_a_month = models.PositiveIntegerField("send limit a month", null=True, blank=True)
    # Postal: recorded as asked for; counts here need no database of a server's own.
    skip_provision_database = models.BooleanField(default=False, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ServerQuerySet.as_manager()

    class Meta:
        ordering = ["name_key", "id"]
        indexes = [
            # What servers had this permalink, deleted ones too (stats.intake.tenures).
            models.Index(name="servers_server_permalink", fields=["organization", "permalink"]),
            # The panel's list and the choices of a field, by name.
            models.Index(name="servers_server_named", fields=["name_key", "id"]),
        ]
        constraints = [
            models.UniqueConstraint(
                name="servers_server_name_unique",
                fields=["organization", "name_key"],
                condition=Q(deleted_at=None),
                violation_error_message="Name has already been taken",
            ),
            models.UniqueConstraint(
                name="servers_server_permalink_unique",
                fields=["organization", "permalink"],
                condition=Q(deleted_at=None),
                violation_error_message="Permalink has already been taken",
            ),
            not_empty("servers_server_names", "name", "permalink", message="A server needs a name and a permalink"),
            models.CheckConstraint(
                name="servers_server_mode",
                condition=Q(mode__in=["live", "development"]),
                violation_error_message="The mode must be live or development",
            ),
            models.CheckConstraint(
                name="servers_server_suspension",
                condition=Q(suspended_at__isnull=False)
                | Q(suspended_until=None, suspension_reason="", suspended_by_platform=False),
                violation_error_message="Only a suspended server has a reason, an end and an origin of its suspension",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def is_suspended(self, at: datetime.datetime) -> bool:
        """Whether the server itself is suspended at this time; its organization can be suspended separately."""
        return self.suspended_at is not None and (self.suspended_until is None or self.suspended_until > at)
