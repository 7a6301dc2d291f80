from django.db import models

from core.constraints import not_empty
from core.models.key import Key, KeyQuerySet
from core.models.user import User


class ApiToken(Key):
    """A password for programs, which replaces the user's own in HTTP Basic. It is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=200)

    objects = KeyQuerySet["ApiToken"].as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at", "-id"]
        constraints = [
            not_empty("core_apitoken_name", "name", message="An API token needs a name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_prefix}…)"
