"""Operators' reply rules, which are matched before the built-in ones."""

from django.db import models
from django.db.models import Q

from stats.reasons import Reason


class ReplyRule(models.Model):
    """A pattern of replies and their class; lower positions are matched first."""

    position = models.PositiveIntegerField(default=0)
    # A provider's name, codes such as `550`, `5xx`, `5.7.1`, `*.2.2` with commas; empty: any.
    provider = models.CharField(max_length=100, blank=True)
    code = models.CharField(max_length=200, blank=True)
    # As the patterns in stats/intake/reply_rules.tsv are written (docs/replies.md).
    pattern = models.CharField(max_length=1000, blank=True)
    reason = models.SmallIntegerField("class", choices=Reason.choices)
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(
                name="stats_replyrule_reason",
                condition=Q(reason__range=(1, 17)),
                violation_error_message="The class of a rule is unknown",
            ),
            models.CheckConstraint(
                name="stats_replyrule_not_empty",
                condition=~Q(pattern="") | ~Q(code=""),
                violation_error_message="A rule needs a pattern or a code",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pattern or self.code} → {self.get_reason_display()}"
