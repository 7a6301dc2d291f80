from django.db import models

from core.constraints import not_empty


class Provider(models.Model):
    """A recipients' mailbox provider, such as Gmail: where an address's reputation is kept. 0 is all others."""

    # Stored with each event: small, and never used again.
    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            not_empty("stats_provider_name", "name", message="A provider needs a name"),
        ]

    def __str__(self) -> str:
        return self.name


class ProviderDomain(models.Model):
    """Recipient domains of a provider: `gmail.com`, `*.example.com` for those below it, or `yahoo.*` for any ending."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="domains")
    pattern = models.CharField(max_length=255, unique=True)

    class Meta:
        ordering = ["pattern"]
        constraints = [
            not_empty("stats_providerdomain_pattern", "pattern", message="A pattern cannot be empty"),
        ]

    def __str__(self) -> str:
        return self.pattern
