"""Whether a test changed anything in the database: a digest of every table, made only where a statement could have written.

A digest reads all tables, and most of what is watched are refusals that never write.
"""

import contextlib
import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.db import connection, connections, router

# A rollback to a savepoint undoes only what a statement since has written, which was seen. That a key was used is no change.
READS = re.compile(
    r"[\s(]*(SELECT|SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT|UPDATE \"\w+\" SET \"last_used_at\" = %s WHERE)\b",
    re.IGNORECASE,
)


def digest() -> str:
    """Return a hash over every table, of the statistics' own database too; that a key was used is no change."""
    rows: list[Any] = []
    for alias in connections:
        # A replica has no tables of its own.
        if query := _every_row(alias):
            with connections[alias].cursor() as cursor:
                cursor.execute(query)
                rows += cursor.fetchall()
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()


@functools.cache
def _every_row(alias: str) -> str:
    """Return one query of all tables of a database: a hundred would take half a second."""
    quote = connection.ops.quote_name
    parts = []
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy and router.db_for_read(model) == alias:
            fields = model._meta.local_concrete_fields
            columns = [quote(field.column) for field in fields if field.name != "last_used_at"]
            if connection.vendor == "postgresql":
                row = f"ROW({', '.join(columns)})::text"
            else:
                row = " || ',' || ".join(f"quote({column})" for column in columns)
            table = model._meta.db_table
            parts.append(f"SELECT '{table}', {row} FROM {quote(table)}")
    return " UNION ALL ".join(parts)


class Watched:
    """What stood in the database when the watch began. (What passes Django's cursors by, as COPY does, is not seen.)"""

    def __init__(self) -> None:
        self._before: str | None = None

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        """Note the state just before the first statement that could write."""
        if self._before is None and not READS.match(sql):
            self._before = digest()
        return execute(sql, *arguments)

    def is_unchanged(self) -> bool:
        return self._before is None or digest() == self._before


@contextlib.contextmanager
def watching() -> Iterator[Watched]:
    """Watch the databases from here to the block's end."""
    watched = Watched()
    with contextlib.ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(watched))
        yield watched
