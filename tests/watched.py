"""Whether a test changed anything in the database: a digest of every table, made only where a statement could have written.

A digest takes some 60 queries, and most of what is watched are refusals that never write.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.db import connection

# A rollback to a savepoint undoes only what a statement since has written, which was seen.
READS = re.compile(r"[\s(]*(SELECT|SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT)\b", re.IGNORECASE)


def digest(of: Callable[[Any], bool] = lambda row: True) -> str:
    """Return a hash over every table; that a key was used is no change."""
    found = hashlib.sha256()
    for model in sorted(apps.get_models(), key=lambda each: each._meta.label):
        columns = [field.attname for field in model._meta.local_concrete_fields if field.name != "last_used_at"]
        rows = filter(of, map(repr, model._default_manager.order_by("pk").values_list(*columns)))
        found.update(repr((model._meta.label, sorted(rows))).encode())
    return found.hexdigest()


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
    """Watch the default database from here to the block's end."""
    watched = Watched()
    with connection.execute_wrapper(watched):
        yield watched
