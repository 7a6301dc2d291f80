from django.db import models

from dnschecks.checked import DNSChecked, DNSCheckedQuerySet, error_field, is_known_status, status_field
from ippools.models.address import IPAddress


class AddressIdentity(DNSChecked):
    """The DNS identity of an address: PTR record, forward-confirmed name (FCrDNS) and HELO name.

    A row of its own beside the address, because checks write it at any time, and a form that saves the address whole must not
    bring old findings back. Made by the first check.
    """

    ip_address = models.OneToOneField(IPAddress, on_delete=models.CASCADE, primary_key=True, related_name="identity")
    # The names that the addresses resolve to, IPv4's first.
    names = models.JSONField(default=list, editable=False)
    ptr_status = status_field()
    ptr_error = error_field()
    fcrdns_status = status_field()
    fcrdns_error = error_field()
    helo_status = status_field()
    helo_error = error_field()
    # The first of the checks in a row that found it broken (ippools.identity.is_broken). Null: the last one did not.
    broken_since = models.DateTimeField(null=True, editable=False)

    objects = DNSCheckedQuerySet["AddressIdentity"].as_manager()

    class Meta:
        verbose_name = "identity of an address"
        verbose_name_plural = "identities of addresses"
        ordering = ["ip_address_id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_addressidentity_statuses",
                condition=is_known_status("ptr_status")
                & is_known_status("fcrdns_status")
                & is_known_status("helo_status"),
                violation_error_message="A status is OK, missing, invalid or not known yet",
            )
        ]
        indexes = [
            # Which addresses are to be checked now?
            models.Index(name="ippools_identity_next_check", fields=["dns_next_check_at"]),
        ]

    def __str__(self) -> str:
        return f"identity of {self.ip_address_id}"
