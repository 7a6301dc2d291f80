"""Deliveries taken by a worker, and what came of them written down."""

import datetime
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from webhooks.backoff import wait
from webhooks.calling import Outcome
from webhooks.models import Delivery

# After this a delivery that was taken is taken for lost: its worker was killed. Longer than the calls of all that a worker
# holds of one webhook take.
LOST_AFTER = datetime.timedelta(seconds=120)
_TABLE = Delivery._meta.db_table


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker is to make; `attempts` counts the one that it is about to make."""

    id: int
    webhook_id: int
    body: str
    attempts: int
    until: datetime.datetime


def claim(webhook_id: int, number: int, *, at: datetime.datetime) -> list[Claimed]:
    """Take up to so many due deliveries of a webhook, the longest due first.

    Workers that claim at once take different ones: rows that another has locked are passed over.
    """
    lock = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    # MATERIALIZED, because the planner may otherwise run a locking subquery twice.
    sql = f"""
        WITH due AS MATERIALIZED (
            SELECT id FROM {_TABLE} WHERE webhook_id = %s AND due_at <= %s ORDER BY due_at, id LIMIT %s {lock}
        )
        UPDATE {_TABLE} SET due_at = %s, attempts = attempts + 1 WHERE id IN (SELECT id FROM due)
        RETURNING id, webhook_id, body, attempts, until
    """  # noqa: S608 - the names are the model's
    with connection.cursor() as cursor:
        cursor.execute(sql, [webhook_id, _moment(at), number, _moment(at + LOST_AFTER)])
        rows = sorted(cursor.fetchall())
    return [Claimed(pk, webhook, body, attempts, _parsed(until)) for pk, webhook, body, attempts, until in rows]


def give_back(claimed: Iterable[Claimed], *, at: datetime.datetime) -> None:
    """Let deliveries that were taken and not tried be taken again, as if they had not been."""
    sql = f"UPDATE {_TABLE} SET due_at = %s, attempts = attempts - 1 WHERE id = %s AND attempts = %s AND state = 'waiting'"  # noqa: S608
    _each(sql, [[_moment(at), each.id, each.attempts] for each in claimed])


def write(made: Sequence[tuple[Claimed, Outcome, datetime.datetime]], chance: random.Random) -> None:
    """Write down what came of attempts, each with the time of its end.

    One that was taken for lost and made by another worker meanwhile is that worker's to write.
    """
    sql = f"""
        UPDATE {_TABLE} SET state = %s, due_at = %s, attempted_at = %s, status_code = %s, answer = %s, error = %s
        WHERE id = %s AND attempts = %s AND state = 'waiting'
    """  # noqa: S608
    _each(sql, [[*_result(*each, chance), each[0].id, each[0].attempts] for each in made])


def _result(claimed: Claimed, outcome: Outcome, at: datetime.datetime, chance: random.Random) -> list[Any]:
    said = [_moment(at), outcome.status, outcome.answer, outcome.error]
    if outcome.is_success:
        return [Delivery.State.DELIVERED.value, None, *said]
    again = at + wait(claimed.attempts, chance)
    if again > claimed.until:
        return [Delivery.State.FAILED.value, None, *said]
    return [Delivery.State.WAITING.value, _moment(again), *said]


def _each(sql: str, rows: list[list[Any]]) -> None:
    if rows:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _moment(at: datetime.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def _parsed(value: Any) -> datetime.datetime:
    """Return a time as the database's cursor gives it: on SQLite a text without an offset."""
    at: datetime.datetime = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
