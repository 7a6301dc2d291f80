import datetime

from django.db import models
from django.db.models import Q

from core.keys import DIGEST_LENGTH, PREFIX_LENGTH
from core.models.user import User


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self, at: datetime.datetime) -> "ApiTokenQuerySet":
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at), revoked_at=None)


class ApiToken(models.Model):
    """A password for programs: it stands in for its user's own in HTTP Basic, and is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=200)
    key_prefix = models.CharField(max_length=PREFIX_LENGTH, editable=False)
    key_digest = models.CharField(max_length=DIGEST_LENGTH, unique=True, editable=False)
    # None: it does not expire.
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="core_apitoken_name_not_empty",
                condition=~Q(name=""),
                violation_error_message="An API token needs a name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_prefix}…)"

    def is_usable(self, at: datetime.datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)
