from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

# GreenArrow: limits are 32-bit integers; 0 means no limit.
HIGHEST_LIMIT = 2**31 - 1


class LimitField(models.PositiveIntegerField):  # type: ignore[type-arg]  # Django's fields take no arguments at run time.
    """A limit from 0 to 2^31-1, where 0 means unlimited."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("validators", [MaxValueValidator(HIGHEST_LIMIT)])
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


class RuleSet(models.Model):
    """The throttling rules of one address or of one template, and the default for all other domains.

    Owner and set are made and deleted together. One table for both kinds gives their rules one sequence of ids, as
    GreenArrow has it.
    """

    class Kind(models.TextChoices):
        ADDRESS = "address", "IP address"
        TEMPLATE = "template", "Throttling template"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    # None, on an address only: the template's default counts.
    max_concurrent_connections = LimitField(null=True, blank=True)
    max_messages_per_hour = LimitField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="throttling_ruleset_kind",
                condition=Q(kind__in=["address", "template"]),
                violation_error_message="A rule set belongs to an address or to a template",
            ),
            models.CheckConstraint(
                name="throttling_ruleset_template_default",
                condition=Q(kind="address")
                | Q(max_concurrent_connections__isnull=False, max_messages_per_hour__isnull=False),
                violation_error_message="A template's default limits must be set; 0 means unlimited",
            ),
            models.CheckConstraint(
                name="throttling_ruleset_limits",
                condition=(Q(max_concurrent_connections=None) | Q(max_concurrent_connections__range=(0, HIGHEST_LIMIT)))
                & (Q(max_messages_per_hour=None) | Q(max_messages_per_hour__range=(0, HIGHEST_LIMIT))),
                violation_error_message="A limit must be from 0 to 2147483647",
            ),
        ]

    def __str__(self) -> str:
        return f"rules of {self.get_kind_display().lower()} ({self.pk})"

    def document(self) -> dict[str, Any]:
        """Return `default` and `rules` as plain values, for the audit trail; the rules should have been read with it."""
        return {
            "default": {
                "max_concurrent_connections": self.max_concurrent_connections,
                "max_messages_per_hour": self.max_messages_per_hour,
            },
            "rules": [rule.document() for rule in self.rules.all()],
        }
