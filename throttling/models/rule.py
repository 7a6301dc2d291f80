from typing import Any

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from throttling.models.program import ThrottleProgram
from throttling.models.rule_set import HIGHEST_LIMIT, LimitField, RuleSet

MAX_RULES = 250


class Rule(models.Model):
    """Limits for mail to some domains."""

    rule_set = models.ForeignKey(RuleSet, on_delete=models.CASCADE, related_name="rules")
    # Which of the set's 250 places it takes: it makes "at most 250" a fact of the database, not a count that can race.
    slot = models.PositiveSmallIntegerField()
    max_concurrent_connections = LimitField()
    max_messages_per_hour = LimitField()
    throttle_program = models.ForeignKey(
        ThrottleProgram, on_delete=models.PROTECT, null=True, blank=True, related_name="rules"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="throttling_rule_slot_unique",
                fields=["rule_set", "slot"],
                violation_error_message="Two rules of a set cannot take the same place",
            ),
            models.CheckConstraint(
                name="throttling_rule_slot_range",
                condition=Q(slot__range=(1, MAX_RULES)),
                violation_error_message="There can be at most 250 rules",
            ),
            models.CheckConstraint(
                name="throttling_rule_limits",
                condition=Q(max_concurrent_connections__range=(0, HIGHEST_LIMIT))
                & Q(max_messages_per_hour__range=(0, HIGHEST_LIMIT)),
                violation_error_message="A limit must be from 0 to 2147483647",
            ),
        ]

    def __str__(self) -> str:
        return f"rule {self.pk}"

    def document(self) -> dict[str, Any]:
        """Return the rule as plain values, for the audit trail; its domains should have been read with it."""
        return {
            "id": self.pk,
            "domains": [domain.pattern for domain in self.domains.all()],
            "max_concurrent_connections": self.max_concurrent_connections,
            "max_messages_per_hour": self.max_messages_per_hour,
            "throttle_program": None if self.throttle_program_id is None else {"id": self.throttle_program_id},
        }


class RuleDomain(models.Model):
    """One domain pattern of a rule: `example.com`, `*.example.com` or `[*.]example.com`, as a lower-case A-label."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="domains")
    # The rule's own set again: uniqueness over all rules of a set needs it in this table.
    rule_set = models.ForeignKey(RuleSet, on_delete=models.CASCADE, related_name="domains")
    pattern = models.CharField(max_length=260)
    # From 0, in the order that the caller gave.
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["rule_id", "position"]
        constraints = [
            models.UniqueConstraint(
                name="throttling_ruledomain_pattern_unique",
                fields=["rule_set", "pattern"],
                violation_error_message="A domain can be in one rule of a set only",
            ),
            models.UniqueConstraint(
                name="throttling_ruledomain_position_unique",
                fields=["rule", "position"],
                violation_error_message="Two domains of a rule cannot take the same position",
            ),
            not_empty("throttling_ruledomain_pattern", "pattern", message="A domain cannot be empty"),
        ]

    def __str__(self) -> str:
        return self.pattern
