"""Advisory locks, and queries that do not wait for locks."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections


def advisory(name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Take the lock with this name until the transaction ends; must be called inside a transaction.

    PostgreSQL only: on SQLite a transaction that writes has the whole database to itself (BEGIN IMMEDIATE).
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number_of(name)])


def number_of(name: str) -> int:
    """Return the number by which PostgreSQL knows the lock with this name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextlib.contextmanager
def not_waiting_for_writers(sqlite: Any) -> Iterator[None]:
    """On a connection to SQLite: leave the block at once, with nothing written, where another connection is writing."""
    sqlite.ensure_connection()
    raw: sqlite3.Connection = sqlite.connection
    # Not by Django's cursor: these two say nothing to the database that a log of its queries should hold.
    (usual,) = raw.execute("PRAGMA busy_timeout").fetchone()
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    except OperationalError as exc:
        code = getattr(exc.__cause__, "sqlite_errorcode", 0)
        if code & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
    finally:
        raw.execute(f"PRAGMA busy_timeout = {usual:d}")
