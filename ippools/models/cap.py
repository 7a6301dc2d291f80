import datetime
from typing import Self

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from ippools.models.address import IPAddress
from throttling.limits import CapKind
from throttling.models import Rule

REASON_LENGTH = 500
# At the end of a program's cap its throttle is judged. Until that is decided, and so long at the most, nodes keep the cap: else
# a rate that stays reduced would be the full one for some seconds each time.
JUDGED_WITHIN = datetime.timedelta(seconds=30)


class AddressCapQuerySet(models.QuerySet["AddressCap"]):
    def active(self, at: datetime.datetime) -> Self:
        """Caps that are in effect at this time."""
        return self.filter(Q(until=None) | Q(until__gt=at), ended_at=None, began_at__lte=at)

    def obeyed(self, at: datetime.datetime) -> Self:
        """The same, and those of programs whose end is not decided on yet."""
        is_judged = Q(kind=CapKind.THROTTLE_PROGRAM.value, until__gt=at - JUDGED_WITHIN)
        return self.filter(Q(until=None) | Q(until__gt=at) | is_judged, ended_at=None, began_at__lte=at)


class AddressCap(models.Model):
    """A temporary upper bound of an address, on top of its rules. Caps are ended, never deleted."""

    class Kind(models.TextChoices):
        """Who or what reduces the rate."""

        THROTTLE_PROGRAM = CapKind.THROTTLE_PROGRAM.value, "Throttle program"
        WARM_UP = CapKind.WARM_UP.value, "Warm-up"
        DRAIN = CapKind.DRAIN.value, "Drain"
        MANUAL = CapKind.MANUAL.value, "By hand"

    address = models.ForeignKey(IPAddress, on_delete=models.CASCADE, related_name="caps")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    # Restricts it to recipients for whom this rule wins; with `is_default` to those for whom none does.
    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, null=True, blank=True, related_name="caps")
    is_default = models.BooleanField(default=False)
    # Restricts it to recipients' domains that one of these normalized patterns matches. Empty: no restriction.
    domains = models.JSONField(default=list, blank=True)
    max_messages_per_hour = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_concurrent_connections = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    # Instead of the numbers, percent of what the rules give; the numbers are then those of the rule as it was last seen.
    percent_of_messages = models.PositiveSmallIntegerField(null=True, blank=True)
    percent_of_connections = models.PositiveSmallIntegerField(null=True, blank=True)
    # Why, as a sentence with the numbers that decided.
    reason = models.CharField(max_length=REASON_LENGTH)
    began_at = models.DateTimeField()
    # Null: until it is ended.
    until = models.DateTimeField(null=True, blank=True)
    # When it was ended before its time.
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = AddressCapQuerySet.as_manager()

    class Meta:
        verbose_name = "cap"
        ordering = ["-began_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_cap_kind",
                condition=Q(kind__in=[kind.value for kind in CapKind]),
                violation_error_message="A cap is of a throttle program, a warm-up, a drain or by hand",
            ),
            models.CheckConstraint(
                name="ippools_cap_one_scope",
                condition=Q(is_default=False) | Q(rule=None),
                violation_error_message="A cap is for a rule or for the default",
            ),
            models.CheckConstraint(
                name="ippools_cap_bounds_something",
                # A comparison with null is unknown, which a CHECK lets pass.
                condition=Q(max_messages_per_hour__isnull=False, max_messages_per_hour__gte=1)
                | Q(max_concurrent_connections__isnull=False, max_concurrent_connections__gte=1)
                | Q(percent_of_messages__isnull=False)
                | Q(percent_of_connections__isnull=False),
                violation_error_message="A cap bounds messages an hour or connections",
            ),
            models.CheckConstraint(
                name="ippools_cap_percent",
                condition=(Q(percent_of_messages=None) | Q(percent_of_messages__range=(1, 100)))
                & (Q(percent_of_connections=None) | Q(percent_of_connections__range=(1, 100))),
                violation_error_message="A percentage of a limit is from 1 to 100",
            ),
            models.CheckConstraint(
                name="ippools_cap_period",
                condition=Q(until=None) | Q(until__gt=F("began_at")),
                violation_error_message="A cap ends after it began",
            ),
            # One that has not been ended, for each thing that can be bounded. Its time may be over: the next one ends it.
            models.UniqueConstraint(
                name="ippools_cap_one_of_a_rule",
                fields=["address", "kind", "rule"],
                condition=Q(ended_at=None, rule__isnull=False),
                violation_error_message="A cap of this kind bounds this rule already",
            ),
            models.UniqueConstraint(
                name="ippools_cap_one_of_the_default",
                fields=["address", "kind"],
                condition=Q(ended_at=None, is_default=True),
                violation_error_message="A cap of this kind bounds the default already",
            ),
        ]
        indexes = [
            # Which caps bound an address now? (ippools.caps, nodes)
            models.Index(name="ippools_cap_open", fields=["address"], condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.address}"
