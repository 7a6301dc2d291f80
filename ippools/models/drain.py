from typing import Self

from django.db import models
from django.db.models import Q

from ippools.models.address import IPAddress
from throttling.drain import Effect

REASON_LENGTH = 1_000


class AddressDrainQuerySet(models.QuerySet["AddressDrain"]):
    def open(self) -> Self:
        """Those that have not ended."""
        return self.filter(ended_at=None)

    def in_effect(self) -> Self:
        """Those that keep mail from their addresses."""
        return self.open().filter(effect=Effect.DRAINED.value)


class AddressDrain(models.Model):
    """That an address is in trouble, and what comes of it: it is told of, held back by the rails, or drained. Ended, never
    deleted."""

    class EffectChoice(models.TextChoices):
        """What comes of a trouble."""

        TOLD = Effect.TOLD.value, "Only reported"
        WITHHELD = Effect.WITHHELD.value, "Not drained"
        DRAINED = Effect.DRAINED.value, "Drained"

    address = models.ForeignKey(IPAddress, on_delete=models.CASCADE, related_name="drains", verbose_name="IP address")
    effect = models.CharField(max_length=8, choices=EffectChoice)
    # The names of the providers (or the domains) concerned. Empty: all recipients.
    providers = models.JSONField(default=list, blank=True)
    # Their domains as normalized patterns. Empty: all recipients.
    domains = models.JSONField(default=list, blank=True)
    # The kinds of the troubles (throttling.drain.TroubleKind), the worst first.
    kinds = models.JSONField(default=list)
    # Why, as sentences with the numbers that decided. They tell of whole pools, so they are the platform's to read.
    reason = models.CharField(max_length=REASON_LENGTH)
    began_at = models.DateTimeField()
    # When it was drained first. Null: it has not been.
    drained_at = models.DateTimeField(null=True, blank=True)
    # Since when nothing is wrong any more. Null: something is.
    well_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_because = models.CharField(max_length=REASON_LENGTH, blank=True)
    # An operator ended it: until then the address is not drained again. Null: the time decided.
    spared_until = models.DateTimeField(null=True, blank=True)

    objects = AddressDrainQuerySet.as_manager()

    class Meta:
        verbose_name = "drain"
        ordering = ["-began_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="ippools_drain_effect",
                condition=Q(effect__in=[effect.value for effect in Effect]),
                violation_error_message="A trouble is reported, held back or drained for",
            ),
            models.UniqueConstraint(
                name="ippools_drain_one",
                fields=["address"],
                condition=Q(ended_at=None),
                violation_error_message="This address has an open drain already",
            ),
            models.CheckConstraint(
                name="ippools_drain_drained_at",
                condition=~Q(effect=Effect.DRAINED.value) | Q(drained_at__isnull=False),
                violation_error_message="A drained address was drained at a time",
            ),
            models.CheckConstraint(
                name="ippools_drain_spared",
                condition=Q(spared_until=None) | Q(ended_at__isnull=False),
                violation_error_message="Only what was ended spares an address",
            ),
        ]
        indexes = [
            # Was it drained lately, and is it spared? (nodes.healing)
            models.Index(name="ippools_drain_ended", fields=["address", "ended_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_effect_display()}: {self.address}"

    def is_in_effect(self) -> bool:
        """Whether it keeps mail from the address."""
        return self.ended_at is None and self.effect == Effect.DRAINED.value
