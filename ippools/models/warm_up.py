from typing import Self

from django.db import models
from django.db.models import Q

from ippools.models.address import IPAddress
from throttling.models import WarmUpPlan
from throttling.warmup import Change


class WarmUpQuerySet(models.QuerySet["WarmUp"]):
    def active(self) -> Self:
        """Those that bound what their addresses send, or will."""
        return self.filter(ended_at=None)


class WarmUp(models.Model):
    """That an address is warmed up by a plan, from a date (UTC) on. An act ends it, or its last day does."""

    address = models.ForeignKey(IPAddress, on_delete=models.CASCADE, related_name="warm_ups", verbose_name="IP address")
    plan = models.ForeignKey(WarmUpPlan, on_delete=models.PROTECT, related_name="warm_ups")
    begins_on = models.DateField()
    # Held by hand: the day is repeated, with this reason, until it is released.
    is_locked = models.BooleanField(default=False, editable=False)
    lock_reason = models.CharField(max_length=500, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Whether it ended because the plan was done.
    is_warm = models.BooleanField(default=False, editable=False)

    objects = WarmUpQuerySet.as_manager()

    class Meta:
        verbose_name = "warm-up"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_warm_up_one",
                fields=["address"],
                condition=Q(ended_at=None),
                violation_error_message="This address is being warmed up already",
            ),
            models.CheckConstraint(
                name="ippools_warm_up_lock",
                condition=Q(is_locked=True) | Q(lock_reason=""),
                violation_error_message="Only a held warm-up has a reason for it",
            ),
            models.CheckConstraint(
                name="ippools_warm_up_warm",
                condition=Q(is_warm=False) | Q(ended_at__isnull=False),
                violation_error_message="A warm address is not being warmed up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address} by {self.plan}"


class WarmUpDay(models.Model):
    """What was decided for one date (UTC) of a warm-up: the day of the plan, the caps, and why.

    It changes at most on its own date, to a lower day: where what is known of the day before by then says so.
    """

    warm_up = models.ForeignKey(WarmUp, on_delete=models.CASCADE, related_name="days")
    on = models.DateField()
    number = models.PositiveSmallIntegerField()
    cap = models.PositiveIntegerField()
    # {provider's name: messages}
    provider_caps = models.JSONField(default=dict)
    change = models.CharField(max_length=9, choices=[(each.value, each.value.replace("_", " ")) for each in Change])
    reason = models.CharField(max_length=500)
    # Days up to this one without an attempt, and days in a row that went badly.
    idle_days = models.PositiveIntegerField(default=0)
    bad_days = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["on"]
        constraints = [
            models.UniqueConstraint(
                name="ippools_warm_up_day_one",
                fields=["warm_up", "on"],
                violation_error_message="This date was decided already",
            ),
            models.CheckConstraint(
                name="ippools_warm_up_day_number",
                condition=Q(number__gte=1, cap__gte=1),
                violation_error_message="Days and caps are from 1 on",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.on:%Y-%m-%d}: {self.reason}"
