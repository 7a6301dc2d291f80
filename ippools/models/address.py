from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.audit import snapshot
from core.constraints import not_empty
from core.names import NameKeyField
from ippools.models.virtual_mta import VirtualMTA
from throttling.models import RuleSet, ThrottlingTemplate

HIGHEST_PRIORITY = 100
REASON_LENGTH = 500


class IPAddress(VirtualMTA):
    """An egress IP address: its HELO name, limits and priority."""

    ipv4 = models.GenericIPAddressField("IPv4", protocol="IPv4", unique=True)
    ipv6 = models.GenericIPAddressField("IPv6", protocol="IPv6", unique=True, null=True, blank=True)
    # What receivers see where it is another than what is bound (behind NAT). Several addresses may share one.
    public_ipv4 = models.GenericIPAddressField("public IPv4", protocol="IPv4", null=True, blank=True)
    public_ipv6 = models.GenericIPAddressField("public IPv6", protocol="IPv6", null=True, blank=True)
    # The HELO name, which should also be the name that the address resolves to (FCrDNS).
    hostname = models.CharField("host name", max_length=200)
    # Host names know no case, and GreenArrow's list is filtered by them.
    hostname_key = NameKeyField(source="hostname")
    # Of two addresses in a pool, the one with the higher priority is preferred (Postal).
    priority = models.PositiveSmallIntegerField(
        default=HIGHEST_PRIORITY, validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRIORITY)]
    )
    template = models.ForeignKey(ThrottlingTemplate, on_delete=models.PROTECT, related_name="ip_addresses")
    rules = models.OneToOneField(RuleSet, on_delete=models.PROTECT, related_name="ip_address", editable=False)
    # No mail leaves by a paused address, not even by its redirect (GreenArrow).
    delivery_paused = models.BooleanField(default=False)
    # The reason, and the time of automatic resumption; empty and null if not given.
    pause_reason = models.CharField(max_length=REASON_LENGTH, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)

    # When the IPv4, the IPv6 or the host name was last another one: what DNS was asked about them before may be wrong now.
    # None: not since the address was created.
    sender_changed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "IP address"
        verbose_name_plural = "IP addresses"
        constraints = [
            models.CheckConstraint(
                name="ippools_ipaddress_priority_range",
                condition=Q(priority__range=(0, HIGHEST_PRIORITY)),
                violation_error_message="Priority must be from 0 to 100",
            ),
            not_empty("ippools_ipaddress_hostname", "hostname", message="An IP address needs a host name"),
            models.CheckConstraint(
                name="ippools_ipaddress_pause",
                condition=Q(delivery_paused=True) | Q(pause_reason="", paused_until=None),
                violation_error_message="Only a paused address has a reason and an end of its pause",
            ),
        ]
        indexes = [
            # GreenArrow's list filter by host name.
            models.Index(name="ippools_ipaddress_hostname_key", fields=["hostname_key"]),
            # The task that resumes what is due.
            models.Index(
                name="ippools_ipaddress_paused_until", fields=["paused_until"], condition=~Q(paused_until=None)
            ),
            # Whose senders have changed lately? (servers.due_domains, ippools.identity)
            models.Index(
                name="ippools_ipaddress_changed",
                fields=["sender_changed_at"],
                condition=Q(sender_changed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.ipv4

    def document(self) -> dict[str, Any]:
        """Return the whole record as plain values, for the audit trail; the rules should have been read with it."""
        return {**snapshot(self), **self.rules.document()}
