import uuid

from django.db import models
from django.db.models import Q

from ippools.models import IPPool
from servers.models.organization import Organization
from servers.models.server import Server


class OrganizationPool(models.Model):
    """The grant of a pool to an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="organization_pools")
    pool = models.ForeignKey(IPPool, on_delete=models.PROTECT, related_name="organization_pools")
    # Rises with each automatic assignment in the organization: the pool with the least was assigned longest ago. 0: never.
    last_assigned_seq = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "pool of an organization"
        verbose_name_plural = "pools of organizations"
        ordering = ["pool_id"]
        constraints = [
            models.UniqueConstraint(
                name="servers_organizationpool_unique",
                fields=["organization", "pool"],
                violation_error_message="The organization has this pool already",
            )
        ]

    def __str__(self) -> str:
        return f"{self.pool} for {self.organization}"


class IPPoolRule(models.Model):
    """Mail from or to certain addresses or domains is sent by another pool.

    A condition with `@` is an address (a `+tag` is ignored), without it a domain. Both kinds given: both must match.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="pool_rules"
    )
    server = models.ForeignKey(Server, on_delete=models.CASCADE, null=True, blank=True, related_name="pool_rules")
    pool = models.ForeignKey(IPPool, on_delete=models.PROTECT, related_name="pool_rules")
    # Its place among its owner's rules, the lowest first; ties by id.
    position = models.PositiveIntegerField(default=0)
    # One condition a line; empty: any.
    from_conditions = models.TextField(blank=True)
    to_conditions = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "IP pool rule"
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(
                name="servers_ippoolrule_one_owner",
                condition=Q(organization=None, server__isnull=False) | Q(organization__isnull=False, server=None),
                violation_error_message="A pool rule belongs to a server or to an organization",
            ),
            models.CheckConstraint(
                name="servers_ippoolrule_condition",
                condition=~Q(from_conditions="") | ~Q(to_conditions=""),
                violation_error_message="A pool rule needs at least one condition",
            ),
        ]

    def __str__(self) -> str:
        sides = (("from", self.from_conditions), ("to", self.to_conditions))
        return " ".join(f"{word} {_in_short(conditions)}" for word, conditions in sides if conditions)


def _in_short(conditions: str) -> str:
    first, *others = conditions.splitlines()
    return f"{first} and {len(others)} more" if others else first
