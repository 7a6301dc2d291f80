"""The ledger: batches, events, and the state of each day."""

import datetime

from django.db import models
from django.db.models import F, Q

from stats.counts import buckets
from stats.kinds import Kind
from stats.reasons import Reason


class Batch(models.Model):
    """Events that were stored by one transaction, and that are folded into the counts by one transaction."""

    received_at = models.DateTimeField()
    event_count = models.PositiveIntegerField()
    # Between these are the keys of its events: with them the fold and the audit look at few partitions.
    least_key = models.UUIDField()
    greatest_key = models.UUIDField()
    # None: open, which means that its events are stored but not counted yet.
    folded_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="stats_batch_not_empty",
                condition=Q(event_count__gt=0),
                violation_error_message="A batch has at least one event",
            ),
            models.CheckConstraint(
                name="stats_batch_keys_ordered",
                condition=Q(least_key__lte=F("greatest_key")),
                violation_error_message="A batch's least key is not above its greatest",
            ),
        ]
        indexes = [
            # Which batches are open? Asked by each fold, every few seconds; nearly always the index is empty.
            models.Index(name="stats_batch_open", fields=["id"], condition=Q(folded_at=None)),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class Event(models.Model):
    """One thing that happened to one message for one recipient.

    The key is made from the event itself (stats.ledger.keys), so a replay collides with what is stored. On PostgreSQL the
    table is partitioned by it, a day each. Ids are plain values, 0 where there is none: whatever they name may be gone.
    This is the only declaration of the row: stats.ledger.row derives the order of its values and their packing from it.
    """

    key = models.UUIDField(primary_key=True)
    batch_id = models.BigIntegerField()
    # Minutes since 1970 of the event's own time, UTC.
    minute = models.IntegerField()
    server_id = models.BigIntegerField()
    address_id = models.BigIntegerField()
    domain_id = models.BigIntegerField()
    sender_id = models.BigIntegerField()
    provider_id = models.SmallIntegerField()
    kind = models.SmallIntegerField(choices=Kind.choices)
    # The class of the receiver's reply (stats.reasons).
    reason = models.SmallIntegerField(choices=Reason.choices, db_default=0)
    # How long the message was under way: 0 below a second, n from 2^(n-1) seconds up to 2^n; -1 where the event does not say.
    latency = models.SmallIntegerField(db_default=-1)
    signature_id = models.IntegerField(db_default=0)
    # The domain of the recipient.
    recipient_id = models.IntegerField(db_default=0)
    # The throttling rule that applied; 0: the default of the address; -1: unknown.
    rule_id = models.BigIntegerField(db_default=-1)

    class Meta:
        indexes = [
            # The events of the batches that a fold has claimed.
            models.Index(name="stats_event_batch", fields=["batch_id"]),
        ]

    def __str__(self) -> str:
        return str(self.key)


class Day(models.Model):
    """A UTC day that events have come for: held raw, or dropped. It is the calendar of the fold as well."""

    # Days since 1970.
    day = models.IntegerField(primary_key=True)
    # The month (year * 12 + month - 1) and the year that it belongs to.
    month = models.IntegerField()
    year = models.IntegerField()
    # When an event for it last came in, to the hour.
    received_at = models.DateTimeField()
    # When its counts were last found equal to its events.
    checked_at = models.DateTimeField(null=True)
    # When it was first checked after its end. Late events are counted after this, too.
    completed_at = models.DateTimeField(null=True)
    # None: its events are held. Otherwise they are gone, or being removed, and the day takes no more.
    dropped_at = models.DateTimeField(null=True)
    # When the last of its events was gone.
    removed_at = models.DateTimeField(null=True)
    # When it was last opened again, after it was dropped, for servers that had reported nothing for it. Its counts are of
    # more than its events then: it is not audited and not rebuilt.
    reopened_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.CheckConstraint(
                name="stats_day_removed",
                condition=Q(removed_at=None) | Q(dropped_at__isnull=False),
                violation_error_message="Only a dropped day's events can be gone",
            )
        ]
        indexes = [
            # Which days are held? Asked by the audit and by retention.
            models.Index(name="stats_day_held", fields=["day"], condition=Q(dropped_at=None)),
        ]

    def __str__(self) -> str:
        return self.date.isoformat()

    @property
    def date(self) -> datetime.date:
        return buckets.date_of(self.day)


class ClosedDay(models.Model):
    """A server whose events of a re-opened day are gone: one that comes now could be a replay of one of them."""

    day = models.IntegerField()
    server_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("day", "server_id")

    def __str__(self) -> str:
        return f"day {self.day}, server {self.server_id}"
