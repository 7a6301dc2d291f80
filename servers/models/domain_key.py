from django.db import models

from core.constraints import not_empty
from core.encryption import CiphertextField
from servers.models.organization import Organization


class DomainKey(models.Model):
    """The DNS values of a name of an organization, kept after the domain is deleted, so that its records stay valid.

    Domains of this name take a copy when they are made; it never changes.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="domain_keys")
    # A lower-case A-label.
    name = models.CharField(max_length=253)
    verification_token = models.CharField(max_length=64, editable=False)
    # The IDENT of postal-IDENT._domainkey.NAME.
    dkim_identifier = models.CharField(max_length=32, editable=False)
    dkim_private_key = CiphertextField(editable=False)
    # The p= of the TXT record: base64 of the DER public key.
    dkim_public_key = models.TextField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                name="servers_domainkey_unique",
                fields=["organization", "name"],
                violation_error_message="The organization has a key for this name already",
            ),
            not_empty("servers_domainkey_name", "name", message="A key needs the name of a domain"),
        ]

    def __str__(self) -> str:
        return self.name
