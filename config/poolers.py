"""Poolers before PostgreSQL, such as pgbouncer: whether what Sluice takes for a session of its own is one.

A pooler in the mode `transaction` or `statement` gives each transaction whichever session of PostgreSQL is free. Statements
that one session has prepared are missing in the next, or are there already, and a session's lock is nobody's in particular.
"""

from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections

REMEDY = (
    "Set SLUICE_DATABASE_POOL=0, or give Sluice sessions of its own: pgbouncer's `pool_mode = session`, or PostgreSQL's own"
    " address."
)
# Others may take the session between two of our questions; never all of them for so long without being seen.
_TIMES = 10
_WHO = "SELECT pg_backend_pid()"


def shares_sessions(alias: str) -> bool:
    """Whether two connections of this database have one session of PostgreSQL by turns; False if nobody answers."""
    params = connections.create_connection(alias).get_connection_params()
    for client_side in ("cursor_factory", "context", "prepare_threshold"):
        params.pop(client_side, None)

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(**params, autocommit=True, prepare_threshold=None)

    try:
        return are_shared(connect)
    except psycopg.Error:
        # Whether the database is there is not this question.
        return False


def are_shared(connect: Callable[[], Any]) -> bool:
    """Whether two connections that `connect` makes have one session by turns."""
    with connect() as first:
        # PostgreSQL itself says its own number at the beginning, a pooler says one that it made up.
        if first.info.backend_pid == _asked(first):
            return False
        with connect() as second:
            seen: tuple[set[int], set[int]] = set(), set()
            for _ in range(_TIMES):
                seen[0].add(_asked(first))
                seen[1].add(_asked(second))
            # Each has one of its own where sessions are theirs.
            return bool(seen[0] & seen[1]) or len(seen[0]) > 1 or len(seen[1]) > 1


def _asked(connection: Any) -> int:
    row = connection.execute(_WHO).fetchone()
    return int(row[0])
