"""The differences between PostgreSQL and SQLite. Partitions, which only PostgreSQL has, are in stats.ledger.partitions."""

import datetime
import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any

import psycopg
from django.db import DatabaseError, connections, transaction

from stats.ledger import row
from stats.ledger.database import ALIAS, atomic, connection
from stats.ledger.row import Row

# The first half of a two-number advisory lock: the second is a day.
_DAY_LOCKS = 0x51D5
_FOLD_LOCK = 0x51D6


def is_postgresql() -> bool:
    vendor: str = connection().vendor
    return vendor == "postgresql"


# --- How much at once ------------------------------------------------------------------------------------------------


def batch_limit() -> int:
    """Return the most events that one transaction stores. SQLite has one writer, and a web request may be waiting for it."""
    return 10_000 if is_postgresql() else 5_000


def fold_limit() -> int:
    """Return the most batches that one transaction folds: the more, the cheaper each event, and the longer the locks."""
    return 500 if is_postgresql() else 10


def yield_to_writers() -> None:
    """Pause between two writing transactions of a long act, on SQLite, so that others come to write."""
    if not is_postgresql() and not connection().in_atomic_block:
        time.sleep(0.02)


# --- Parameters ------------------------------------------------------------------------------------------------------


def key_literal(key: uuid.UUID) -> str:
    """Return an event key as SQL text."""
    return f"'{key}'::uuid" if is_postgresql() else f"'{key.hex}'"


def keys_between(first: uuid.UUID, end: uuid.UUID, column: str = "key") -> str:
    """Return the condition that a key is at or above `first` and below `end`."""
    return f"{column} >= {key_literal(first)} AND {column} < {key_literal(end)}"


# --- Transactions ----------------------------------------------------------------------------------------------------


@contextmanager
def writing(*, using: str = ALIAS) -> Iterator[None]:
    """A transaction whose commit is on disk when it returns, whatever the server's default is."""
    with transaction.atomic(using=using):
        if is_postgresql():
            execute("SET LOCAL synchronous_commit = on", using=using)
        yield


@contextmanager
def aggregating() -> Iterator[None]:
    """A transaction that groups many rows: with memory for its hash tables, and without compiling its queries first."""
    with atomic():
        if is_postgresql():
            execute("SET LOCAL synchronous_commit = on; SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
        yield


@contextmanager
def snapshot(*, using: str) -> Iterator[None]:
    """A transaction in which every statement sees the same state, and which blocks no other."""
    if connections[using].in_atomic_block:
        yield
    elif is_postgresql():
        with transaction.atomic(using=using):
            execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", using=using)
            execute("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off", using=using)
            yield
    else:
        # Not atomic(): that begins with a write lock here (BEGIN IMMEDIATE), and a reader needs none.
        execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            execute("ROLLBACK")


def is_passing(error: DatabaseError) -> bool:
    """Whether the same transaction may succeed when tried again: a deadlock, a serialization failure, a busy database."""
    if is_postgresql():
        cause = error.__cause__
        return isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


# --- Days ------------------------------------------------------------------------------------------------------------


def hold_days(days: Iterable[int]) -> None:
    """Keep these days from being dropped until the transaction ends. On SQLite no other writer can come between."""
    if is_postgresql():
        # In order: two that hold common days wait for each other in the same one.
        sql = "SELECT pg_advisory_xact_lock_shared(%s, day) FROM unnest(%s::int[]) AS day"
        execute(sql, [_DAY_LOCKS, sorted(days)])


def try_to_take_day(day: int) -> bool:
    """Keep ingesters from this day until the transaction ends; False where one is at it now."""
    if not is_postgresql():
        return True
    return bool(fetch("SELECT pg_try_advisory_xact_lock(%s, %s)", [_DAY_LOCKS, day])[0][0])


def delete(table: str, where: str, *, using: str = ALIAS) -> int:
    """Delete rows, on SQLite some at a time with pauses between, and return how many went."""
    if is_postgresql():
        return execute(f"DELETE FROM {table} WHERE {where}", using=using)
    some = f"SELECT rowid FROM {table} WHERE {where} LIMIT {batch_limit()}"
    removed = 0
    while True:
        count = execute(f"DELETE FROM {table} WHERE rowid IN ({some})", using=using)
        removed += count
        if count < batch_limit():
            return removed
        yield_to_writers()


# --- Events ----------------------------------------------------------------------------------------------------------


def insert_events(rows: Sequence[Row], batch_id: int) -> tuple[int, set[bytes]]:
    """Store rows, which are in the order of their keys; return how many were new, and the keys of those that were stored
    before with other content."""
    if not is_postgresql():
        marks = ", ".join(["%s"] * (len(row.COLUMNS) + 1))
        sql = f"INSERT INTO stats_event ({row.SQL}) VALUES ({marks}) ON CONFLICT (key) DO NOTHING"
        with connection().cursor() as cursor:
            cursor.executemany(sql, [(each[0].hex(), *each[1:], batch_id) for each in rows])
            accepted = cursor.rowcount
        return accepted, set() if accepted == len(rows) else _conflicts_by_values(rows, batch_id)
    try:
        with atomic():
            copy("stats_event", pack(rows, batch_id))
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            raise
        return _insert_through_stage(rows, batch_id)
    return len(rows), set()


def _insert_through_stage(rows: Sequence[Row], batch_id: int) -> tuple[int, set[bytes]]:
    """Store new events where some are stored already, which COPY cannot skip."""
    execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS stats_stage (LIKE stats_event INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
    )
    execute("TRUNCATE pg_temp.stats_stage")
    copy("pg_temp.stats_stage", pack(rows, batch_id))
    accepted = execute(
        f"INSERT INTO stats_event ({row.SQL}) SELECT {row.SQL} FROM pg_temp.stats_stage ORDER BY key"
        " ON CONFLICT (key) DO NOTHING"
    )
    if accepted == len(rows):
        return accepted, set()
    # A subquery for each, not a join: without statistics of the stage a join may read a day's partition as a whole.
    stored, staged = (", ".join(f"{each}.{name}" for name in row.CONTENT_COLUMNS) for each in ("stored", "stage"))
    other = f"SELECT stored.batch_id <> %s AND ({stored}) <> ({staged}) FROM stats_event AS stored WHERE stored.key = stage.key"
    found = fetch(f"SELECT key FROM pg_temp.stats_stage AS stage WHERE ({other})", [batch_id])
    return accepted, {key.bytes for (key,) in found}


def _conflicts_by_values(rows: Sequence[Row], batch_id: int) -> set[bytes]:
    """Return the keys of rows whose identity another batch has stored with other content; on SQLite."""
    wanted = [[each[0].hex(), *(each[position] for position in row.CONTENT)] for each in rows]
    differs = " OR ".join(
        f"stored.{name} <> json_extract(wanted.value, '$[{position}]')"
        for position, name in enumerate(row.CONTENT_COLUMNS, 1)
    )
    sql = (
        "SELECT stored.key FROM json_each(%s) AS wanted CROSS JOIN stats_event AS stored"
        f" ON stored.key = json_extract(wanted.value, '$[0]') WHERE stored.batch_id <> %s AND ({differs})"
    )
    return {bytes.fromhex(key) for (key,) in fetch(sql, [json.dumps(wanted), batch_id])}


def keys_of_batch(batch_id: int, least: uuid.UUID, greatest: uuid.UUID) -> set[bytes]:
    """Return the keys of the events that a batch has stored."""
    between = f"key >= {key_literal(least)} AND key <= {key_literal(greatest)}"
    found = fetch(f"SELECT key FROM stats_event WHERE batch_id = %s AND {between}", [batch_id])
    return {key.bytes if isinstance(key, uuid.UUID) else bytes.fromhex(key) for (key,) in found}


# Rows that are packed and sent at once: the server works on some while we pack the next.
_PACKED_AT_ONCE = 1_000
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"


def pack(rows: Sequence[Row], batch_id: int) -> Iterator[bytes]:
    """Yield rows in PostgreSQL's binary COPY format."""
    yield _HEADER
    for some in batched(rows, _PACKED_AT_ONCE):
        yield b"".join(row.pack_rows(some, batch_id))
    yield _TRAILER


def copy(table: str, packed: Iterable[bytes]) -> None:
    """Send what `pack` made into a table."""
    sql = f"COPY {table} ({row.SQL}) FROM STDIN (FORMAT BINARY)"
    with connection().cursor() as cursor, connection().wrap_database_errors, cursor.cursor.copy(sql) as stream:
        for part in packed:
            stream.write(part)


# --- Names -----------------------------------------------------------------------------------------------------------


def find_names(table: str, names: Sequence[tuple[int, str]]) -> list[int | None]:
    """Return the ids that a table has for (server id, name), in the order asked for; None for what it does not have.

    Only ids are returned: the caller has the names, thousands for each batch of events.
    """
    if is_postgresql():
        servers = f"{{{','.join(str(server) for server, _ in names)}}}"
        params = [servers, json.dumps([name for _, name in names])]
        lists = "unnest(%s::bigint[]), json_array_elements_text(%s)"
        wanted = f"ROWS FROM ({lists}) WITH ORDINALITY AS wanted (server, name, place)"
    else:
        params = [json.dumps(names)]
        parts = "key AS place, json_extract(value, '$[0]') AS server, json_extract(value, '$[1]') AS name"
        wanted = f"(SELECT {parts} FROM json_each(%s)) AS wanted"
    # One look into the unique index for each: a join may read the whole table, which grows.
    known = f"SELECT id FROM {table} AS known WHERE known.server_id = wanted.server AND known.name = wanted.name"
    return [number for (number,) in fetch(f"SELECT ({known}) FROM {wanted} ORDER BY place", params)]


# --- Batches ---------------------------------------------------------------------------------------------------------


def claim_batches(now: datetime.datetime, *, last: int, limit: int, wait: bool) -> list[int]:
    """Mark open batches up to the id `last` as folded and return their ids.

    Batches that another transaction has claimed are passed over, or with `wait` waited for.
    """
    lock = "" if not is_postgresql() else "FOR UPDATE" if wait else "FOR UPDATE SKIP LOCKED"
    # MATERIALIZED, because the planner may otherwise run a locking subquery twice.
    rows = fetch(
        f"""
        WITH claimed AS MATERIALIZED (
            SELECT id FROM stats_batch WHERE folded_at IS NULL AND id <= {last:d} ORDER BY id LIMIT {limit:d} {lock}
        )
        UPDATE stats_batch SET folded_at = %s WHERE id IN (SELECT id FROM claimed) AND folded_at IS NULL RETURNING id
        """,
        [now],
    )
    return sorted(batch_id for (batch_id,) in rows)


def wait_for_rebuild() -> None:
    """Keep a rebuild away until the transaction ends; folds do not keep each other away. SQLite has one writer anyway."""
    if is_postgresql():
        execute("SELECT pg_advisory_xact_lock_shared(%s, 0)", [_FOLD_LOCK])


def wait_for_folds() -> None:
    """Keep folds away until the transaction ends."""
    if is_postgresql():
        execute("SELECT pg_advisory_xact_lock(%s, 0)", [_FOLD_LOCK])


# --- SQL -------------------------------------------------------------------------------------------------------------


def has_own_session() -> bool:
    """Whether PostgreSQL itself is at the other end: a pooler between says another number than the session's own."""
    connection = connections[ALIAS]
    connection.ensure_connection()
    return bool(fetch("SELECT pg_backend_pid()")[0][0] == connection.connection.info.backend_pid)


def execute(sql: str, params: Sequence[Any] | None = None, *, using: str = ALIAS) -> int:
    """Run a statement and return how many rows it wrote."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def fetch(sql: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    with connection().cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
