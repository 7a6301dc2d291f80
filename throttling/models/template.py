from typing import Any

from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.names import NameKeyField
from throttling.models.rule_set import RuleSet


class ThrottlingTemplate(models.Model):
    """Throttling rules that many addresses share. Each address can override them with its own rules."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    rules = models.OneToOneField(RuleSet, on_delete=models.PROTECT, related_name="template", editable=False)
    # The template of addresses that name none; there is one, and it cannot be deleted.
    is_default = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="throttling_template_name_unique",
                fields=["name_key"],
                violation_error_message="A throttling template with this name exists already",
            ),
            not_empty("throttling_template_name", "name", message="A throttling template needs a name"),
            models.UniqueConstraint(
                name="throttling_template_one_default",
                fields=["is_default"],
                condition=Q(is_default=True),
                violation_error_message="There can be one default throttling template",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def document(self) -> dict[str, Any]:
        """Return the whole record as plain values, for the audit trail."""
        return {"name": self.name, **self.rules.document()}
