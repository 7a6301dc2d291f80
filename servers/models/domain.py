import uuid
from typing import Self

from django.db import models

from core.constraints import not_empty
from core.encryption import CiphertextField
from dnschecks.checked import DNSChecked, DNSCheckedQuerySet, DNSStatus, error_field, is_known_status, status_field
from servers.models.server import Server

__all__ = ["DNSStatus", "Domain"]


class DomainQuerySet(DNSCheckedQuerySet["Domain"]):
    def living(self) -> Self:
        """Domains of servers that are not deleted."""
        return self.filter(server__deleted_at=None)

    def verified(self) -> Self:
        return self.filter(verified_at__isnull=False)

    def named(self, name: str) -> Self:
        """Domains with this name (an A-label), of all servers."""
        return self.filter(name=name)


class Domain(DNSChecked):
    """A sender domain of a server, verified and authenticated by DNS records."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="domains")
    # A lower-case A-label.
    name = models.CharField(max_length=253)
    verification_token = models.CharField(max_length=64, editable=False)
    verified_at = models.DateTimeField(null=True, editable=False)
    # The IDENT of postal-IDENT._domainkey.NAME.
    dkim_identifier = models.CharField(max_length=32, editable=False)
    dkim_private_key = CiphertextField(editable=False)
    # The p= of the TXT record: base64 of the DER public key.
    dkim_public_key = models.TextField(editable=False)
    # What the last look for the TXT record found; verified_at says since when it has been there.
    verification_status = status_field()
    verification_error = error_field()
    spf_status = status_field()
    spf_error = error_field()
    dkim_status = status_field()
    dkim_error = error_field()
    mx_status = status_field()
    mx_error = error_field()
    return_path_status = status_field()
    return_path_error = error_field()
    dmarc_status = status_field()
    dmarc_error = error_field()
    outgoing = models.BooleanField(default=True)
    incoming = models.BooleanField(default=True)
    # Host names that should receive its mail instead of the platform's.
    custom_mx_records = models.JSONField(default=list, blank=True)
    # The owner's own DMARC policy text; empty: the platform's proposal.
    dmarc_record = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DomainQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                name="servers_domain_name_unique",
                fields=["server", "name"],
                violation_error_message="Name has already been taken",
            ),
            not_empty("servers_domain_name", "name", message="A domain needs a name"),
            models.CheckConstraint(
                name="servers_domain_statuses",
                condition=is_known_status("spf_status")
                & is_known_status("dkim_status")
                & is_known_status("mx_status")
                & is_known_status("return_path_status")
                & is_known_status("dmarc_status"),
                violation_error_message="A status is OK, missing, invalid or not known yet",
            ),
            models.CheckConstraint(
                name="servers_domain_verification_status",
                condition=is_known_status("verification_status"),
                violation_error_message="A status is OK, missing, invalid or not known yet",
            ),
        ]
        indexes = [
            # Has another organization proven this name?
            models.Index(name="servers_domain_name", fields=["name"]),
            # Which domains are to be checked now?
            models.Index(name="servers_domain_next_check", fields=["dns_next_check_at"]),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_verified(self) -> bool:
        return self.verified_at is not None
