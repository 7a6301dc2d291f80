from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from core.audit import snapshot
from core.constraints import not_empty
from ippools.models.virtual_mta import VirtualMTA

# Of one rule: writing them holds the lock that all changes of addresses wait for.
MOST_OVERRIDES = 1_000
MOST_TARGETS = 5_000


class Randomization(models.TextChoices):
    """What a choice among several targets depends on."""

    RANDOM = "random", "Each attempt"
    MESSAGE_CONSTANT = "message_constant", "The message"
    EMAIL_ADDRESS_CONSTANT = "email_address_constant", "The recipient's address"


_RANDOMIZATIONS = Q(randomization_type__in=["random", "message_constant", "email_address_constant"])


class RoutingRule(VirtualMTA):
    """Splits mail over other VirtualMTAs by weight, with overrides for some recipient domains."""

    randomization_type = models.CharField(max_length=22, choices=Randomization.choices, default=Randomization.RANDOM)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="ippools_routingrule_randomization",
                condition=_RANDOMIZATIONS,
                violation_error_message="The randomization type is unknown",
            )
        ]

    def document(self) -> dict[str, Any]:
        """Return the whole record as plain values, for the audit trail: three queries, however many overrides it has."""
        targets: dict[int | None, list[dict[str, Any]]] = {}
        for target in self.targets.order_by("pk"):
            targets.setdefault(target.override_id, []).append(
                {"virtual_mta": {"id": target.virtual_mta_id}, "portion_of_mail": float(target.portion_of_mail)}
            )
        return {
            **snapshot(self),
            "default": {"randomization_type": self.randomization_type, "deliver_through": targets.get(None, [])},
            "domain_overrides": [
                {
                    "id": override.pk,
                    "domains": [domain.pattern for domain in override.domains.all()],
                    "randomization_type": override.randomization_type,
                    "deliver_through": targets.get(override.pk, []),
                }
                for override in self.domain_overrides.prefetch_related("domains").order_by("pk")
            ],
        }


class DomainOverride(models.Model):
    """An override of a routing rule for some recipient domains."""

    routing_rule = models.ForeignKey(RoutingRule, on_delete=models.CASCADE, related_name="domain_overrides")
    randomization_type = models.CharField(max_length=22, choices=Randomization.choices, default=Randomization.RANDOM)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_domainoverride_randomization",
                condition=_RANDOMIZATIONS,
                violation_error_message="The randomization type is unknown",
            )
        ]

    def __str__(self) -> str:
        return f"override {self.pk}"


class OverrideDomain(models.Model):
    """One domain pattern of an override, in the form of throttling rules' domains."""

    override = models.ForeignKey(DomainOverride, on_delete=models.CASCADE, related_name="domains")
    # The override's own rule again: uniqueness over all overrides of a rule needs it in this table.
    routing_rule = models.ForeignKey(RoutingRule, on_delete=models.CASCADE, related_name="override_domains")
    pattern = models.CharField(max_length=260)
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["override_id", "position"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_overridedomain_pattern_unique",
                fields=["routing_rule", "pattern"],
                violation_error_message="A domain can be in one override of a routing rule only",
            ),
            not_empty("ippools_overridedomain_pattern", "pattern", message="A domain cannot be empty"),
        ]

    def __str__(self) -> str:
        return self.pattern


class DeliveryTarget(models.Model):
    """A target VirtualMTA of a routing rule or of an override, with its weight."""

    routing_rule = models.ForeignKey(RoutingRule, on_delete=models.CASCADE, related_name="targets")
    # None: a target of the rule's default.
    override = models.ForeignKey(
        DomainOverride, on_delete=models.CASCADE, null=True, blank=True, related_name="targets"
    )
    virtual_mta = models.ForeignKey(VirtualMTA, on_delete=models.PROTECT, related_name="routed_from")
    # A weight among the targets beside it; 1 for each is an even split.
    portion_of_mail = models.DecimalField(
        max_digits=12, decimal_places=4, default=1, validators=[MinValueValidator(0.0001)]
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_deliverytarget_portion_positive",
                condition=Q(portion_of_mail__gt=0),
                violation_error_message="The portion of mail must be positive",
            ),
            models.CheckConstraint(
                name="ippools_deliverytarget_not_itself",
                condition=~Q(routing_rule=models.F("virtual_mta")),
                violation_error_message="A routing rule cannot deliver through itself",
            ),
            models.UniqueConstraint(
                name="ippools_deliverytarget_default_once",
                fields=["routing_rule", "virtual_mta"],
                condition=Q(override=None),
                violation_error_message="A VirtualMTA can be named once among the targets",
            ),
            models.UniqueConstraint(
                name="ippools_deliverytarget_override_once",
                fields=["override", "virtual_mta"],
                condition=Q(override__isnull=False),
                violation_error_message="A VirtualMTA can be named once among the targets",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.portion_of_mail} through {self.virtual_mta_id}"
