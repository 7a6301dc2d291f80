import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.names import NameKeyField
from ippools.models.address import IPAddress
from throttling.drain import DEFAULT_SHARE, MODES

HIGHEST_SHARE = 50


class IPPool(models.Model):
    """A group of addresses that servers send from. An address can be in several pools."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The uuid of the organization that made it, as a value (pools know no organizations); None: the platform's. Names are
    # unique within it, because a global name would tell one tenant of another's pools.
    namespace = models.UUIDField(null=True, blank=True, editable=False)
    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    is_default = models.BooleanField("default", default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # When addresses last came or went. None: not since the pool was created.
    members_changed_at = models.DateTimeField(null=True, editable=False)
    # What may become of addresses in trouble; empty: what SLUICE_DRAIN says. The platform's to decide (ippools.drains).
    drain_mode = models.CharField(
        "draining", max_length=5, blank=True, choices=[(mode.value, mode.value) for mode in MODES], editable=False
    )
    # Percent of its addresses that may be drained at once.
    drain_share = models.PositiveSmallIntegerField(
        default=DEFAULT_SHARE, validators=[MinValueValidator(1), MaxValueValidator(HIGHEST_SHARE)], editable=False
    )
    addresses = models.ManyToManyField(IPAddress, through="IPPoolMember", related_name="pools")

    class Meta:
        verbose_name = "IP pool"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_ippool_name_unique",
                fields=["namespace", "name_key"],
                condition=Q(namespace__isnull=False),
                violation_error_message="Name has already been taken",
            ),
            models.UniqueConstraint(
                name="ippools_ippool_platform_name_unique",
                fields=["name_key"],
                condition=Q(namespace=None),
                violation_error_message="Name has already been taken",
            ),
            not_empty("ippools_ippool_name", "name", message="A pool needs a name"),
            models.UniqueConstraint(
                name="ippools_ippool_one_default",
                fields=["namespace"],
                condition=Q(is_default=True, namespace__isnull=False),
                violation_error_message="There can be one default pool",
            ),
            models.UniqueConstraint(
                name="ippools_ippool_one_platform_default",
                fields=["is_default"],
                condition=Q(is_default=True, namespace=None),
                violation_error_message="There can be one default pool",
            ),
            models.CheckConstraint(
                name="ippools_ippool_drain_mode",
                condition=Q(drain_mode__in=["", *(mode.value for mode in MODES)]),
                violation_error_message="Draining is off, watch, act or what the platform says",
            ),
            models.CheckConstraint(
                name="ippools_ippool_drain_share",
                condition=Q(drain_share__range=(1, HIGHEST_SHARE)),
                violation_error_message="From 1 to 50 percent of a pool may be drained",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class IPPoolMember(models.Model):
    """The membership of an address in a pool. PROTECT: an address in a pool cannot be deleted."""

    pool = models.ForeignKey(IPPool, on_delete=models.CASCADE, related_name="members")
    ip_address = models.ForeignKey(IPAddress, on_delete=models.PROTECT, related_name="memberships")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "member"
        ordering = ["ip_address_id"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_ippoolmember_unique",
                fields=["pool", "ip_address"],
                violation_error_message="The address is in this pool already",
            )
        ]

    def __str__(self) -> str:
        return f"{self.ip_address_id} in {self.pool_id}"
