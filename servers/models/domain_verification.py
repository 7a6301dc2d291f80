from django.db import models
from django.db.models import F, Q

from core.constraints import not_empty
from servers.models.server import Server


class DomainVerification(models.Model):
    """A period in which a server had a name verified as its domain, kept after the domain is deleted.

    Events that name no server are attributed by it (stats/intake/verified_domains.py). While its server is deleted, an open
    period has ended with the server.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="domain_verifications")
    # A lower-case A-label.
    name = models.CharField(max_length=253)
    since = models.DateTimeField()
    # None: it is verified.
    until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-since", "-id"]
        constraints = [
            # Its index finds who had a name.
            models.UniqueConstraint(
                name="servers_domainverification_unique",
                fields=["name", "server", "since"],
                violation_error_message="The server's domain was verified at this moment already",
            ),
            models.UniqueConstraint(
                name="servers_domainverification_open",
                fields=["name", "server"],
                condition=Q(until=None),
                violation_error_message="The server's domain is verified already",
            ),
            not_empty("servers_domainverification_name", "name", message="A verification needs the name of a domain"),
            models.CheckConstraint(
                name="servers_domainverification_times",
                condition=Q(until=None) | Q(since__lt=F("until")),
                violation_error_message="A verification ends after it began",
            ),
        ]

    def __str__(self) -> str:
        return self.name
