"""Exactly once across two databases, where the ledger has one of its own: the outbox of batches, and the marks of consumers.

A batch and its entry in the outbox commit together, in the ledger's database. Then each consumer acts in a transaction of the
configuration's database, which also writes its mark. A process that dies in between leaves an entry that is not done: `repeat`
passes it on again, to those without a mark. An entry is done when all have one, and is deleted an hour later; a configuration
that lost its last minutes, with the marks, is told again by `reopen`.

No transaction waits for a lock of the configuration while it holds one that ingestion of events wants.
"""

import datetime
import secrets
import uuid
from dataclasses import dataclass
from functools import partial

import structlog
from django.db import transaction

from stats.ledger import consumers, storage
from stats.ledger.consumers import Work
from stats.ledger.database import CONFIGURATION, atomic
from stats.models import Batch, Consumer, ConsumerMark, OutboxEntry

logger = structlog.get_logger(__name__)

# An entry that is this old is nobody's who is about to pass it on.
LEFT = datetime.timedelta(seconds=30)
# How long what is done can be told again.
KEPT = datetime.timedelta(hours=1)
# After this an entry is given up, because its marks may be forgotten.
GIVEN_UP = datetime.timedelta(days=3)
_MARKS_KEPT = GIVEN_UP + datetime.timedelta(days=1)
_RANDOM_BITS = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the outbox."""

    id: uuid.UUID
    work: Work


def write(batch: Batch, work: Work, *, now: datetime.datetime) -> Entry:
    """Write an entry, in the transaction that stores the batch."""
    entry = Entry(_number(now, secrets.randbits(_RANDOM_BITS)), work)
    OutboxEntry.objects.create(id=entry.id, batch_id=batch.pk, work=work.document())
    return entry


def pass_on(entry: Entry, *, now: datetime.datetime) -> None:
    """Let each consumer act, and note that it is done; after the caller's transaction of the configuration, if there is one.

    Raises nothing: what fails is repeated.
    """
    if _tell(entry, now):
        transaction.on_commit(partial(_finish, entry.id, now), using=CONFIGURATION, robust=True)


def repeat(*, now: datetime.datetime, since: datetime.timedelta = LEFT) -> int:
    """Pass on what others left, as long ago as this, and return the number of entries that are done now.

    Each is claimed in a transaction of its own; those that another worker has claimed are passed over.
    """
    done, after, before = 0, uuid.UUID(int=0), _number(now - since)
    while True:
        with atomic():
            found = storage.fetch(
                "SELECT id, work FROM stats_outboxentry WHERE done_at IS NULL AND id > %s AND id < %s"
                " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
                [after, before],
            )
            if not found:
                return done
            after, text = found[0]
            if after < _number(now - GIVEN_UP):
                logger.error("outbox_entry_given_up", entry=str(after))
                _finish(after, now)
                continue
            try:
                entry = Entry(after, Work.from_document(text))
            except Exception as problem:
                # Such as one that another version wrote: it must not keep those behind it waiting.
                logger.exception("outbox_entry_unreadable", entry=str(after), cause=str(problem))
                continue
            if _tell(entry, now):
                _finish(after, now)
                done += 1


def reopen() -> int:
    """Let `repeat` look at all entries that are there again, after the configuration lost what it had last."""
    return OutboxEntry.objects.exclude(done_at=None).update(done_at=None)


def waiting(*, now: datetime.datetime) -> int:
    """Return how many entries should have been passed on, and were not."""
    return OutboxEntry.objects.filter(done_at=None, id__lt=_number(now - 4 * LEFT)).count()


def waits_between(least: uuid.UUID, end: uuid.UUID) -> bool:
    """Return whether a batch with events between these keys is not passed on."""
    batches = Batch.objects.filter(least_key__lt=end, greatest_key__gte=least)
    return OutboxEntry.objects.filter(done_at=None, batch_id__in=batches.values("pk")).exists()


def prune(*, now: datetime.datetime) -> None:
    """Delete the entries that are done and the marks that are not kept any longer."""
    OutboxEntry.objects.exclude(done_at=None).filter(id__lt=_number(now - KEPT)).delete()
    ConsumerMark.objects.filter(entry_id__lt=_number(now - _MARKS_KEPT)).delete()


def _tell(entry: Entry, now: datetime.datetime) -> bool:
    """Let the consumers act that have not; return whether all have."""
    is_done = True
    for consumer in Consumer:
        part = entry.work.of(consumer)
        if not part:
            continue
        try:
            with storage.writing(using=CONFIGURATION):
                if _mark(entry, consumer):
                    consumers.act_later(consumer, part, now=now)
        except Exception as problem:
            # Also a defect of one must keep neither the others nor the answer to the sender.
            logger.exception("not_passed_on", consumer=consumer.label, entry=str(entry.id), cause=str(problem))
            is_done = False
    return is_done


def _mark(entry: Entry, consumer: Consumer) -> bool:
    """Mark that a consumer acts; False where it has. One that is at it is waited for."""
    sql = "INSERT INTO stats_consumermark (entry_id, consumer) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    return bool(storage.execute(sql, [entry.id, consumer.value], using=CONFIGURATION))


def _finish(number: uuid.UUID, now: datetime.datetime) -> None:
    OutboxEntry.objects.filter(pk=number).update(done_at=now)


def _number(at: datetime.datetime, rest: int = 0) -> uuid.UUID:
    """Return a number of this millisecond: the least, or with other low bits."""
    return uuid.UUID(int=(int(at.timestamp() * 1000) << _RANDOM_BITS) | rest)
