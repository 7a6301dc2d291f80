from django.db import models

from servers.models import Domain


class DomainNotice(models.Model):
    """The last check of a domain that was looked at for DomainDNSError, and what was told of it."""

    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, primary_key=True, related_name="webhook_notice")
    checked_at = models.DateTimeField()
    # The statuses that were told; empty: the domain was well.
    told = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return f"notice of domain {self.pk}"
