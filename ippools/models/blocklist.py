import datetime
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from core.constraints import not_empty
from dnschecks.checked import (
    DNSChecked,
    DNSCheckedQuerySet,
    DNSStatus,
    error_field,
    is_known_status,
    status_field,
)
from dnschecks.dnsbl import Zone, read_ranges
from ippools.models.address import IPAddress

SHORTEST_INTERVAL = 10
LONGEST_INTERVAL = 24 * 60
# Two sightings this far apart are a listing that counts.
CONFIRMED_AFTER = datetime.timedelta(hours=1)
# What a zone has not said again for so long is not held against an address.
CURRENT_FOR = datetime.timedelta(hours=6)


class Blocklist(DNSChecked):
    """A DNSBL zone that the platform asks about its addresses, and what the zone's own test entries say of it."""

    # The domain of the zone, as lower-case A-labels.
    name = models.CharField("zone", max_length=200)
    # The answers that the zone's documentation calls a listing, as text: see dnschecks.dnsbl.read_ranges.
    ranges = models.CharField("listed by", max_length=500, default="127.0.0.2-127.0.0.11")
    # `address` or `address:port` of the resolver to ask; empty: those of SLUICE_DNS_SERVERS, or the system's.
    resolver = models.CharField(max_length=100, blank=True)
    lists_ipv4 = models.BooleanField("lists IPv4", default=True)
    lists_ipv6 = models.BooleanField("lists IPv6", default=False)
    # Minutes between two questions about an address.
    interval = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(SHORTEST_INTERVAL), MaxValueValidator(LONGEST_INTERVAL)]
    )
    is_enabled = models.BooleanField("enabled", default=True)
    # Whether the test entries are as RFC 5782, 5, wants them. Only then is the zone asked about addresses.
    zone_status = status_field()
    zone_error = error_field()

    objects = DNSCheckedQuerySet["Blocklist"].as_manager()

    class Meta:
        verbose_name = "blocklist"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_blocklist_name_unique",
                fields=["name"],
                violation_error_message="This zone is there already",
            ),
            not_empty("ippools_blocklist_name", "name", message="A blocklist needs a zone"),
            not_empty(
                "ippools_blocklist_ranges", "ranges", message="A blocklist needs the answers that mean a listing"
            ),
            models.CheckConstraint(
                name="ippools_blocklist_interval",
                condition=Q(interval__range=(SHORTEST_INTERVAL, LONGEST_INTERVAL)),
                violation_error_message="The interval is from 10 minutes to a day",
            ),
            models.CheckConstraint(
                name="ippools_blocklist_families",
                condition=Q(lists_ipv4=True) | Q(lists_ipv6=True),
                violation_error_message="A blocklist lists IPv4 or IPv6 addresses",
            ),
            models.CheckConstraint(
                name="ippools_blocklist_status",
                condition=is_known_status("zone_status"),
                violation_error_message="A status is OK, missing, invalid or not known yet",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def zone(self) -> Zone:
        """Return it as the checks want it."""
        families = (4,) * self.lists_ipv4 + (6,) * self.lists_ipv6
        return Zone(self.name, read_ranges(self.ranges), self.resolver, families)


class ListingQuerySet(DNSCheckedQuerySet["Listing"]):
    def believed(self) -> Self:
        """Those of zones that are asked and answer as a blocklist must."""
        return self.filter(blocklist__is_enabled=True, blocklist__zone_status=DNSStatus.OK)

    def confirmed(self, at: datetime.datetime) -> Self:
        """Listings that were seen at least twice, an hour apart, and lately."""
        return self.believed().filter(
            listing_status=DNSStatus.INVALID,
            first_seen_at__lte=F("last_seen_at") - CONFIRMED_AFTER,
            last_seen_at__gt=at - CURRENT_FOR,
        )


class Listing(DNSChecked):
    """What one blocklist says about one address. Made by the first check."""

    blocklist = models.ForeignKey(Blocklist, on_delete=models.CASCADE, related_name="listings")
    address = models.ForeignKey(IPAddress, on_delete=models.CASCADE, related_name="listings")
    # OK: it is not listed. INVALID: it is. Null: not asked yet, or nothing to ask about.
    listing_status = status_field()
    listing_error = error_field()
    # Which of the address's public addresses are listed, separated by blanks.
    listed = models.CharField(max_length=100, blank=True, editable=False)
    # The first and the last time of an unbroken series of listings. Both null where it is not listed.
    first_seen_at = models.DateTimeField(null=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, editable=False)

    objects = ListingQuerySet.as_manager()

    class Meta:
        verbose_name = "listing"
        ordering = ["blocklist_id", "address_id"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_listing_one",
                fields=["blocklist", "address"],
                violation_error_message="This blocklist has an answer about this address already",
            ),
            models.CheckConstraint(
                name="ippools_listing_status",
                condition=is_known_status("listing_status"),
                violation_error_message="A status is OK, missing, invalid or not known yet",
            ),
            models.CheckConstraint(
                name="ippools_listing_seen",
                condition=Q(first_seen_at=None, last_seen_at=None)
                | Q(first_seen_at__isnull=False, last_seen_at__isnull=False, last_seen_at__gte=F("first_seen_at")),
                violation_error_message="A listing was seen from its first to its last time",
            ),
        ]
        indexes = [
            # Which addresses are to be asked about now?
            models.Index(name="ippools_listing_next_check", fields=["dns_next_check_at"]),
            # Which addresses are listed? (ippools.blocklists, alerts, the pages)
            models.Index(name="ippools_listing_listed", fields=["address"], condition=Q(first_seen_at__isnull=False)),
            # Whom does a blocklist list, longest first? (its page, the list of blocklists)
            models.Index(
                name="ippools_listing_of_blocklist",
                fields=["blocklist", "first_seen_at"],
                condition=Q(first_seen_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address_id} at {self.blocklist_id}"
