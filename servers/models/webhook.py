import uuid

from django.db import models

from core.constraints import not_empty
from servers.models.server import Server


class Webhook(models.Model):
    """A URL that is called for a server's events."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=200)
    url = models.URLField("URL", max_length=2000)
    # Names of the events that it is called for; empty: all.
    events = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    # Whether requests are signed with the platform's key.
    sign = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            not_empty("servers_webhook", "name", "url", message="A webhook needs a name and a URL"),
        ]

    def __str__(self) -> str:
        return self.name
