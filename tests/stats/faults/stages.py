"""The moments at which a process may be killed, and how a process is stopped at one of them."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import connection
from django.db.models.signals import post_save

from stats.counts import fold
from stats.counts.tiers import SCOPES
from stats.ledger import storage, storing
from stats.models import RollupRun

INGEST = ("days ready", "days held", "batch noted", "half stored", "stored", "committed")
FOLD = ("claimed", *(f"counted by {scope.name}" for scope in SCOPES), "run noted", "fold committed")


class Stages:
    """Says when the wanted stage is reached for the n-th time, and waits there until it is killed or told to go on."""

    def __init__(self, wanted: str, occurrence: int) -> None:
        self._wanted, self._left = wanted, occurrence

    def reached(self, stage: str) -> None:
        if stage != self._wanted:
            return
        self._left -= 1
        if self._left == 0:
            say(f"at {stage}")
            sys.stdin.readline()

    def watch(self) -> None:
        """Put the stages into the code under test, around its own functions."""
        self._after(storing, "ensure_days", "days ready")
        self._after(storage, "hold_days", "days held")
        self._around_insert()
        self._after(storage, "claim_batches", "claimed")
        self._after_each_scope()
        post_save.connect(lambda **_: self.reached("run noted"), sender=RollupRun, weak=False)
        self._after(storing, "_store", "committed")
        self._after(fold, "fold", "fold committed")

    def _after(self, module: Any, name: str, stage: str) -> None:
        function = getattr(module, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self.reached(stage)
            return result

        setattr(module, name, wrapped)

    def _around_insert(self) -> None:
        insert = storage.insert_events

        def insert_events(rows: Sequence[Any], batch_id: int) -> tuple[int, set[bytes]]:
            self.reached("batch noted")
            if connection.vendor == "sqlite":
                half = len(rows) // 2
                stored = insert(rows[:half], batch_id)
                self.reached("half stored")
                rest = insert(rows[half:], batch_id)
                stored = stored[0] + rest[0], stored[1] | rest[1]
            else:
                stored = insert(rows, batch_id)
            self.reached("stored")
            return stored

        copy = storage.copy

        def copy_with_a_pause(table: str, packed: Iterable[bytes]) -> None:
            def parts() -> Iterator[bytes]:
                """The same bytes, in two halves."""
                whole = b"".join(packed)
                yield whole[: len(whole) // 2]
                self.reached("half stored")
                yield whole[len(whole) // 2 :]

            copy(table, parts())

        storage.insert_events, storage.copy = insert_events, copy_with_a_pause

    def _after_each_scope(self) -> None:
        execute: Callable[..., int] = storage.execute
        by_table = {f"INSERT INTO {scope.table} ": scope for scope in SCOPES}
        counted: list[str] = []

        def wrapped(sql: str, params: Any = None, **where: Any) -> int:
            rows = execute(sql, params, **where)
            if any(sql.startswith(start) for start in by_table):
                counted.append(sql)
                self.reached(f"counted by {SCOPES[(len(counted) - 1) % len(SCOPES)].name}")
            return rows

        storage.execute = wrapped


def say(line: str) -> None:
    """Tell the parent."""
    print(line, flush=True)
