import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.models.user import validate_time_zone
from core.names import PERMALINK_LENGTH, NameKeyField


class Organization(models.Model):
    """A tenant: a customer with servers, people and pools."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    permalink = models.SlugField(max_length=PERMALINK_LENGTH, unique=True)
    # None: always, as nobody had it before. Who did is in FormerPermalink.
    permalink_since = models.DateTimeField(null=True, blank=True, editable=False)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    # Whether servers/create works without a key for this organization, as in Postal's curl example.
    allow_keyless_create = models.BooleanField(default=False)
    # Its people do nothing in the panel before they have set one up (servers/required_factors.py). Set by owners, too.
    requires_second_factor = models.BooleanField("require a second factor", default=False, db_default=False)
    # Quotas, null: the platform's (servers/quotas.py). Set by the platform.
    max_servers = models.PositiveIntegerField("most servers", null=True, blank=True)
    max_domains = models.PositiveIntegerField("most domains", null=True, blank=True)
    max_addresses = models.PositiveIntegerField("most addresses of its own", null=True, blank=True)
    max_credentials = models.PositiveIntegerField("most credentials", null=True, blank=True)
    max_webhooks = models.PositiveIntegerField("most webhooks", null=True, blank=True)
    max_keyless_creations_an_hour = models.PositiveIntegerField(
        "most servers an hour without a key", null=True, blank=True
    )
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspension_reason = models.CharField(max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="organizations")

    class Meta:
        ordering = ["name_key"]
        constraints = [
            models.UniqueConstraint(
                name="servers_organization_name_unique",
                fields=["name_key"],
                violation_error_message="An organization with this name exists already",
            ),
            not_empty(
                "servers_organization_names",
                "name",
                "permalink",
                message="An organization needs a name and a permalink",
            ),
            models.CheckConstraint(
                name="servers_organization_suspension",
                condition=Q(suspended_at__isnull=False) | Q(suspension_reason=""),
                violation_error_message="Only a suspended organization has a reason for it",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None


class Membership(models.Model):
    """The role of a person in an organization."""

    class Role(models.TextChoices):
        """Owners manage people too; operators change everything else; analysts read."""

        OWNER = "owner", "Owner"
        OPERATOR = "operator", "Operator"
        ANALYST = "analyst", "Analyst (read only)"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="servers_membership_unique",
                fields=["user", "organization"],
                violation_error_message="This person belongs to the organization already",
            ),
            models.CheckConstraint(
                name="servers_membership_role",
                condition=Q(role__in=["owner", "operator", "analyst"]),
                violation_error_message="The role must be owner, operator or analyst",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.organization}"
