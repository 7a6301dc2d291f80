from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.names import NameKeyField

# A backoff lowers a limit: more than all of it would raise it.
HIGHEST_PERCENT = 100


class BackoffMode(models.TextChoices):
    """The meaning of a back-off value: a percentage of the normal limit, or a fixed limit."""

    PERCENT = "percent", "Percent of the normal limit"
    FIXED = "fixed", "Fixed limit"


_RATE = (1, 100)
_RATE_VALIDATORS = [MinValueValidator(1), MaxValueValidator(100)]
_POSITIVE = [MinValueValidator(1), MaxValueValidator(2**31 - 1)]


class ThrottleProgram(models.Model):
    """The reaction when a receiver defers or rejects mail: reduce the limits for a time, then restore them."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    # A built-in program cannot be changed or deleted.
    is_builtin = models.BooleanField(default=False, editable=False)
    backoff_connections_mode = models.CharField(max_length=10, choices=BackoffMode.choices, default=BackoffMode.PERCENT)
    backoff_connections_value = models.PositiveIntegerField(default=25, validators=_POSITIVE)
    backoff_messages_mode = models.CharField(max_length=10, choices=BackoffMode.choices, default=BackoffMode.PERCENT)
    backoff_messages_value = models.PositiveIntegerField(default=25, validators=_POSITIVE)
    return_after_seconds = models.PositiveIntegerField(default=3600, validators=_POSITIVE)
    # Percent of the attempts; None: this rate triggers nothing.
    failure_rate = models.PositiveSmallIntegerField(null=True, blank=True, validators=_RATE_VALIDATORS)
    deferral_rate = models.PositiveSmallIntegerField(null=True, blank=True, validators=_RATE_VALIDATORS)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="throttling_program_name_unique",
                fields=["name_key"],
                violation_error_message="A throttle program with this name exists already",
            ),
            not_empty("throttling_program_name", "name", message="A throttle program needs a name"),
            models.CheckConstraint(
                name="throttling_program_modes",
                condition=Q(
                    backoff_connections_mode__in=["percent", "fixed"], backoff_messages_mode__in=["percent", "fixed"]
                ),
                violation_error_message="A backoff value is a percentage or fixed",
            ),
            models.CheckConstraint(
                name="throttling_program_values",
                condition=Q(
                    backoff_connections_value__gte=1, backoff_messages_value__gte=1, return_after_seconds__gte=1
                ),
                violation_error_message="Backoff values and the time to return must be positive",
            ),
            models.CheckConstraint(
                name="throttling_program_percent",
                condition=(~Q(backoff_connections_mode="percent") | Q(backoff_connections_value__lte=HIGHEST_PERCENT))
                & (~Q(backoff_messages_mode="percent") | Q(backoff_messages_value__lte=HIGHEST_PERCENT)),
                violation_error_message="A backoff lowers the limits: it is at most 100 percent of them",
            ),
            models.CheckConstraint(
                name="throttling_program_rates",
                condition=(Q(failure_rate=None) | Q(failure_rate__range=_RATE))
                & (Q(deferral_rate=None) | Q(deferral_rate__range=_RATE)),
                violation_error_message="A trigger rate must be from 1 to 100 percent",
            ),
            models.CheckConstraint(
                name="throttling_program_trigger",
                condition=Q(failure_rate__isnull=False) | Q(deferral_rate__isnull=False),
                violation_error_message="At least one trigger rate must be set",
            ),
        ]

    def __str__(self) -> str:
        return self.name
