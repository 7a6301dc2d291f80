import uuid

from django.db import models
from django.db.models import Q

from servers.models.domain import Domain
from servers.models.server import Server


class Route(models.Model):
    """What a server does with incoming mail to a name at a domain."""

    class Mode(models.TextChoices):
        """Postal's modes of a route."""

        ENDPOINT = "endpoint", "Deliver to the endpoint"
        ACCEPT = "accept", "Accept"
        HOLD = "hold", "Hold"
        BOUNCE = "bounce", "Bounce"
        REJECT = "reject", "Reject"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="routes")
    # None: the platform's own route domain.
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="routes")
    # The part before the @; `*` takes every name that no other route takes.
    name = models.CharField(max_length=64)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.ACCEPT)
    # A URL or an address, for the mode `endpoint` only.
    endpoint = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="servers_route_unique",
                fields=["server", "domain", "name"],
                condition=Q(domain__isnull=False),
                violation_error_message="A route for this name exists already",
            ),
            models.UniqueConstraint(
                name="servers_route_unique_without_domain",
                fields=["server", "name"],
                condition=Q(domain=None),
                violation_error_message="A route for this name exists already",
            ),
            models.CheckConstraint(
                name="servers_route_mode",
                condition=Q(mode__in=["endpoint", "accept", "hold", "bounce", "reject"]) & ~Q(name=""),
                violation_error_message="A route needs a name and a known mode",
            ),
            models.CheckConstraint(
                name="servers_route_endpoint",
                condition=(Q(mode="endpoint") & ~Q(endpoint="")) | (~Q(mode="endpoint") & Q(endpoint="")),
                violation_error_message="A route has an endpoint exactly when it delivers to one",
            ),
        ]

    def __str__(self) -> str:
        return self.name
