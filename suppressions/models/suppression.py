import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.encryption import CiphertextField
from core.keys import DIGEST_LENGTH
from servers.models import Organization, Server


class Reason(models.TextChoices):
    """Why an address is suppressed."""

    HARD_BOUNCE = "hard_bounce", "Hard bounce"
    COMPLAINT = "complaint", "Complaint"
    MANUAL = "manual", "By hand"
    IMPORT = "import", "Import"
    API = "api", "API"


class SuppressionQuerySet(models.QuerySet["Suppression"]):
    def active(self, at: datetime.datetime) -> Self:
        """Entries that apply: neither removed nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at), removed_at=None)

    def for_server(self, server_id: int, organization_id: int) -> Self:
        """Entries that stop a server's mail: its own, and its organization's."""
        return self.filter(Q(server=None) | Q(server=server_id), organization=organization_id)


class Suppression(models.Model):
    """A recipient that a server, or every server of an organization, sends no more mail to.

    The address is known by a digest under a key of the platform. A removed entry is kept for some weeks: nodes learn of it by
    its number, and an event from before its removal does not suppress the address again.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="suppressions", db_index=False
    )
    # None: all servers of the organization.
    server = models.ForeignKey(Server, on_delete=models.CASCADE, null=True, blank=True, related_name="suppressions")
    # HMAC-SHA256 of the normalized address, as hexadecimal digits.
    digest = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    # As it is shown: r…r@gmail.com.
    masked = models.CharField("address", max_length=320, editable=False)
    # The normalized address, encrypted; empty: it is not kept.
    address = CiphertextField(blank=True, editable=False)
    reason = models.CharField(max_length=11, choices=Reason.choices)
    # The id and the time of the event that suppressed it; empty and None: no event did.
    event_id = models.CharField("source event", max_length=128, blank=True, editable=False)
    event_at = models.DateTimeField(null=True, editable=False)
    # Who suppressed it, and when.
    actor_label = models.CharField("suppressed by", max_length=200, editable=False)
    created_at = models.DateTimeField("suppressed at", editable=False)
    # None: until it is removed.
    expires_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, editable=False)
    # Of its last change, in the organization's list.
    number = models.PositiveBigIntegerField(editable=False)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="suppressions_suppression_of_server",
                fields=["digest", "server"],
                condition=Q(server__isnull=False),
                violation_error_message="The address is suppressed for this server already",
            ),
            models.UniqueConstraint(
                name="suppressions_suppression_of_organization",
                fields=["digest", "organization"],
                condition=Q(server=None),
                violation_error_message="The address is suppressed for this organization already",
            ),
            # Also the index by which nodes find what has changed since they asked last.
            models.UniqueConstraint(
                name="suppressions_suppression_number",
                fields=["organization", "number"],
                violation_error_message="Each change has a number of its own",
            ),
            models.CheckConstraint(
                name="suppressions_suppression_reason",
                condition=Q(reason__in=["hard_bounce", "complaint", "manual", "import", "api"]),
                violation_error_message="The reason must be hard_bounce, complaint, manual, import or api",
            ),
            models.CheckConstraint(
                name="suppressions_suppression_expiry",
                condition=Q(expires_at=None) | Q(expires_at__gt=models.F("created_at")),
                violation_error_message="An entry expires after it was made",
            ),
            models.CheckConstraint(
                name="suppressions_suppression_removed",
                condition=Q(removed_at=None) | Q(address=""),
                violation_error_message="The clear address goes with the entry",
            ),
            not_empty(
                "suppressions_suppression", "digest", "masked", message="An entry has a digest and a masked address"
            ),
        ]
        indexes = [
            # A tenant's list, newest first, for the panel and the API.
            models.Index(name="suppressions_of_organization", fields=["organization", "-id"]),
            # What can be forgotten? Asked by the daily clean-up.
            models.Index(name="suppressions_expiring", fields=["expires_at"], condition=Q(expires_at__isnull=False)),
            models.Index(name="suppressions_removed", fields=["removed_at"], condition=Q(removed_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.masked
