import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from servers.models.organization import Membership, Organization


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations, by whether they can still be accepted."""

    def open(self, at: datetime.datetime) -> Self:
        """Return those that are neither declined nor expired."""
        return self.filter(declined_at=None, expires_at__gt=at)


class Invitation(models.Model):
    """A role in an organization that is offered to a person: it gives and demands nothing until the person accepts it.

    It names an account by its username, or a mailbox; whether there is such an account, its row does not say.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Membership.Role.choices)
    # Exactly one of both.
    username = models.CharField(max_length=150, blank=True)
    email = models.EmailField("e-mail address", blank=True)
    # Whether the link went to the mailbox; otherwise its owner handed it over.
    is_mailed = models.BooleanField(default=False, editable=False)
    # Who invites has to be an owner still when it is accepted. None: the platform, by a command.
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    # Never told to the organization: only the person of an account can decline.
    declined_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="servers_invitation_username_unique",
                fields=["organization", "username"],
                condition=~Q(username=""),
                violation_error_message="This person is invited already",
            ),
            models.UniqueConstraint(
                name="servers_invitation_email_unique",
                fields=["organization", "email"],
                condition=~Q(email=""),
                violation_error_message="This person is invited already",
            ),
            models.CheckConstraint(
                name="servers_invitation_whom",
                condition=Q(username="", email__gt="") | Q(username__gt="", email=""),
                violation_error_message="An invitation names a username or an e-mail address, not both",
            ),
            models.CheckConstraint(
                name="servers_invitation_role",
                condition=Q(role__in=["owner", "operator", "analyst"]),
                violation_error_message="The role must be owner, operator or analyst",
            ),
        ]
        # Of the person's own page: the invitations to a username.
        indexes = [models.Index(name="servers_invitation_username", fields=["username"], condition=~Q(username=""))]

    def __str__(self) -> str:
        return f"{self.whom} to {self.organization}"

    @property
    def whom(self) -> str:
        return self.username or self.email

    def is_expired(self, at: datetime.datetime) -> bool:
        return self.expires_at <= at
