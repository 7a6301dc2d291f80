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
# What is written of an attempt.
_RESULT = (
    ("state", "text"),
    ("due_at", "timestamptz"),
    ("attempted_at", "timestamptz"),
    ("status_code", "smallint"),
    ("answer", "text"),
    ("error", "text"),
)


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
    columns = (("id", "bigint"), ("attempts", "integer"), ("due_at", "timestamptz"))
    _update(
        "due_at = new.due_at, attempts = d.attempts - 1", columns, [[each.id, each.attempts, at] for each in claimed]
    )


def write(made: Sequence[tuple[Claimed, Outcome, datetime.datetime]], chance: random.Random) -> None:
    """Write down what came of attempts, each with the time of its end.

    One that was taken for lost and made by another worker meanwhile is that worker's to write.
    """
    changes = ", ".join(f"{name} = new.{name}" for name, _ in _RESULT)
    columns = (("id", "bigint"), ("attempts", "integer"), *_RESULT)
    _update(changes, columns, [[each[0].id, each[0].attempts, *_result(*each, chance)] for each in made])


def _result(claimed: Claimed, outcome: Outcome, at: datetime.datetime, chance: random.Random) -> list[Any]:
    said = [at, outcome.status, outcome.answer, outcome.error]
    if outcome.is_success:
        return [Delivery.State.DELIVERED.value, None, *said]
    again = at + wait(claimed.attempts, chance)
    if again > claimed.until:
        return [Delivery.State.FAILED.value, None, *said]
    return [Delivery.State.WAITING.value, again, *said]


def _update(changes: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
    """Change deliveries that wait and were not taken by another worker since, all by one statement on PostgreSQL.

    `columns` are those of `rows` with their types there, an id and a number of attempts first.
    """
    if not rows:
        return
    names = ", ".join(name for name, _ in columns)
    if connection.vendor == "postgresql":
        arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
        new = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - the types are ours
    else:
        new = f"VALUES ({', '.join(['%s'] * len(columns))})"
    sql = f"""
        WITH new({names}) AS ({new})
        UPDATE {_TABLE} AS d SET {changes} FROM new
        WHERE d.id = new.id AND d.attempts = new.attempts AND d.state = 'waiting'
    """  # noqa: S608 - the names are the model's
    values = [[_moment(each) if isinstance(each, datetime.datetime) else each for each in row] for row in rows]
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(sql, [list(column) for column in zip(*values, strict=True)])
        else:
            cursor.executemany(sql, values)


def _moment(at: datetime.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def _parsed(value: Any) -> datetime.datetime:
    """Return a time as the database's cursor gives it: on SQLite a text without an offset."""
    at: datetime.datetime = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
