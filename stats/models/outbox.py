"""What consumers in the configuration's database are told of batches, where the ledger has a database of its own."""

from django.db import models
from django.db.models import Q


class Consumer(models.IntegerChoices):
    """What acts on the events of a batch."""

    THROTTLE_PROGRAMS = 1, "throttle programs"
    WEBHOOKS = 2, "webhooks"
    SUPPRESSIONS = 3, "suppressions"


class OutboxEntry(models.Model):
    """What the consumers are to be told of one batch, written in the transaction that stored its events.

    In the ledger's database. It has mailboxes, of messages that webhooks are told of and of recipients that may be suppressed,
    and is deleted an hour after all were told.
    """

    # Unique for ever, as the batch's number is not after a restore; in the order of time (stats.ledger.outbox).
    id = models.UUIDField(primary_key=True)
    batch_id = models.BigIntegerField()
    # JSON as text: PostgreSQL's own type refuses characters that events may have.
    work = models.TextField()
    # When the last consumer had acted.
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "outbox entries"
        indexes = [
            # Which are not done? Asked every few seconds; nearly always the index is empty.
            models.Index(name="stats_outboxentry_open", fields=["id"], condition=Q(done_at=None)),
        ]

    def __str__(self) -> str:
        return f"outbox entry of batch {self.batch_id}"


class ConsumerMark(models.Model):
    """That a consumer has acted on an outbox entry, written in the transaction of its effects.

    In the configuration's database. It outlives the entry, so that one that a restore brings back is not acted on again.
    """

    entry_id = models.UUIDField()
    consumer = models.SmallIntegerField(choices=Consumer.choices)
    pk = models.CompositePrimaryKey("entry_id", "consumer")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="stats_consumermark_consumer",
                condition=Q(consumer__in=Consumer.values),
                violation_error_message="The consumer is unknown",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_consumer_display()}, {self.entry_id}"
