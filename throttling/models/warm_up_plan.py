from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.constraints import not_empty
from core.names import NameKeyField
from throttling import warmup

_PERCENT = [MinValueValidator(1), MaxValueValidator(100)]


class WarmUpPlan(models.Model):
    """A schedule of messages a day by which a new address is warmed up, and what must hold for the next day to follow."""

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    # A built-in plan cannot be changed or deleted.
    is_builtin = models.BooleanField(default=False, editable=False)
    # Messages a day in all, the first day's first.
    days = models.JSONField()
    # The same for some providers: {name: [messages, …]}, as long as `days`.
    providers = models.JSONField(default=dict, blank=True)
    # Percent of the attempts, percent of the attempts, and ten-thousandths of what was sent.
    least_accepted = models.PositiveSmallIntegerField("least accepted (%)", default=80, validators=_PERCENT)
    most_blocked = models.PositiveSmallIntegerField("most blocked (%)", default=5, validators=_PERCENT)
    most_complained = models.PositiveSmallIntegerField(
        "most complaints (of 10,000)", default=10, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    # By how many percent a cap may grow in a day, and the number of messages below which none falls.
    largest_step = models.PositiveSmallIntegerField(
        "largest step (%)", default=100, validators=[MinValueValidator(1), MaxValueValidator(1_000)]
    )
    floor = models.PositiveIntegerField(
        default=warmup.LEAST_MESSAGES, validators=[MinValueValidator(warmup.LEAST_MESSAGES)]
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "warm-up plan"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="throttling_warm_up_plan_name_unique",
                fields=["name_key"],
                violation_error_message="A warm-up plan with this name exists already",
            ),
            not_empty("throttling_warm_up_plan_name", "name", message="A warm-up plan needs a name"),
            models.CheckConstraint(
                name="throttling_warm_up_plan_rates",
                condition=Q(
                    least_accepted__range=(1, 100), most_blocked__range=(1, 100), most_complained__range=(1, 10_000)
                ),
                violation_error_message="A rate is out of its range",
            ),
            models.CheckConstraint(
                name="throttling_warm_up_plan_rails",
                condition=Q(largest_step__range=(1, 1_000), floor__gte=warmup.LEAST_MESSAGES),
                violation_error_message="The largest step is from 1 to 1,000 percent, the floor at least 24 messages",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def value(self) -> warmup.Plan:
        """Return it as the engine wants it."""
        return warmup.Plan(
            days=tuple(self.days),
            providers={name: tuple(numbers) for name, numbers in sorted(self.providers.items())},
            least_accepted=self.least_accepted,
            most_blocked=self.most_blocked,
            most_complained=self.most_complained,
            largest_step=self.largest_step,
            floor=self.floor,
        )
