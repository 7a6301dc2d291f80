"""Maps database errors to their meaning for callers, by the driver's error codes."""

import sqlite3
from enum import Enum

import psycopg
from django.db import Error, InterfaceError


class Meaning(Enum):
    """The few things a caller can be told."""

    TOO_LONG = "too long"  # a statement that PostgreSQL ended for the time it took (SLUICE_STATEMENT_TIMEOUT)
    AWAY = "away"  # busy, locked, restarting, out of connections: the same request may succeed in a moment
    TAKEN = "taken"  # a unique or exclusion constraint
    REFERRED = "referred"  # a foreign key
    REFUSED = "refused"  # a CHECK, or a value that no column of that type can hold


# The request was not wrong, and the same one may succeed.
PASSING = frozenset({Meaning.AWAY, Meaning.TOO_LONG})

# SQLite's primary result codes (the low byte) for a database that cannot be used just now.
_SQLITE_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_SQLITE_CONSTRAINTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Meaning.TAKEN,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Meaning.TAKEN,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Meaning.REFERRED,
    sqlite3.SQLITE_CONSTRAINT_CHECK: Meaning.REFUSED,
}
_POSTGRES = (
    (psycopg.errors.UniqueViolation, Meaning.TAKEN),
    (psycopg.errors.ExclusionViolation, Meaning.TAKEN),
    (psycopg.errors.ForeignKeyViolation, Meaning.REFERRED),
    (psycopg.errors.RestrictViolation, Meaning.REFERRED),
    (psycopg.errors.CheckViolation, Meaning.REFUSED),
    (psycopg.DataError, Meaning.REFUSED),
    (psycopg.errors.QueryCanceled, Meaning.TOO_LONG),
    # Connections refused or cut, locks and deadlocks, serialization, time-outs, a full disk, the pool's own time-out.
    (psycopg.OperationalError, Meaning.AWAY),
)


def meaning_of(exc: Error) -> Meaning | None:
    """Return what to tell the caller; None when the error can only be a bug (bad SQL, a missing table, a NULL)."""
    cause = exc.__cause__
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None:
            return Meaning.AWAY if isinstance(exc, InterfaceError) else None
        return _SQLITE_CONSTRAINTS.get(code) or (Meaning.AWAY if code & 0xFF in _SQLITE_AWAY else None)
    for kind, meaning in _POSTGRES:
        if isinstance(cause, kind):
            return meaning
    # A connection that died between two statements has no cause on the second one.
    return Meaning.AWAY if isinstance(exc, InterfaceError) else None
