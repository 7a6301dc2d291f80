"""Brings the configuration up to the statistics, after one of their two databases was restored to an earlier moment.

Counts and events name servers, addresses, rules and providers by number. A configuration that was restored would give the
numbers of records that it lost to new ones, whose counts would then be those of both. And what consumers did last is lost with
it.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections
from django.db.models import Max, Model

from ippools.models import VirtualMTA
from servers.models import Server
from stats.counts.fold import fold_all
from stats.ledger import outbox, storage
from stats.ledger.database import CONFIGURATION
from stats.models import Day, Provider, ServerProviderCount, Subject, ThrottleCount
from throttling.models import Rule


@dataclass(frozen=True, slots=True)
class Reconciled:
    """By table the number that new records are numbered from where that was changed; entries that are done, and that wait."""

    numbers: dict[str, int]
    batches: int
    waiting: int


def reconcile(*, now: datetime.datetime) -> Reconciled:
    """Number new records beyond what the statistics know, and pass on what the configuration has no mark of."""
    # Counts know all numbers then, but for those of servers and addresses, which are noted before their first event.
    fold_all(now=now, wait=True)
    numbers = {
        model._meta.db_table: number for model, number in _known_numbers() if _number_from(model._meta.db_table, number)
    }
    outbox.reopen()
    done = outbox.repeat(now=now, since=datetime.timedelta())
    return Reconciled(numbers, done, outbox.waiting(now=now + datetime.timedelta(days=1)))


def is_left_behind() -> bool:
    """Return whether the statistics are still in the configuration's database, and those of their own are empty."""
    with connections[CONFIGURATION].cursor() as cursor:
        cursor.execute("SELECT to_regclass('stats_day') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return False
        cursor.execute("SELECT EXISTS (SELECT 1 FROM stats_day)")
        return cursor.fetchone() == (True,) and not Day.objects.exists()


def _known_numbers() -> Iterator[tuple[type[Model], int]]:
    subjects = dict(Subject.objects.order_by().values_list("kind").annotate(greatest=Max("object_id")))
    yield Server, subjects.get(Subject.Kind.SERVER, 0)
    yield VirtualMTA, subjects.get(Subject.Kind.ADDRESS, 0)
    yield Rule, ThrottleCount.objects.aggregate(greatest=Max("rule_id"))["greatest"] or 0
    yield Provider, ServerProviderCount.objects.aggregate(greatest=Max("provider_id"))["greatest"] or 0


def _number_from(table: str, number: int) -> bool:
    """Let the next record of a table have a greater number; return whether it would not have had."""
    with connections[CONFIGURATION].cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        (sequence,) = cursor.fetchone()
    # Where it was never used, it is before its first number.
    last = f"(SELECT last_value - (NOT is_called)::int FROM {sequence})"
    return (
        storage.execute(f"SELECT setval('{sequence}', %s) WHERE {last} < %s", [number, number], using=CONFIGURATION) > 0
    )
