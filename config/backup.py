"""Backup and restore: the whole database, or both of them, in one file, which both PostgreSQL and SQLite can load.

The file is gzipped lines of JSON: a head with the migrations of the schema, for each table a line with its name and columns and
one line per row (bytes in base64), and a tail with the number of rows, without which a file counts as truncated. Secrets stay
encrypted, so using a restored database needs the same SLUICE_ENCRYPTION_KEYS. Sessions are not included, because they give
access; users sign in again.

Where the statistics have a database of their own there are two snapshots, that of the configuration first. So it is never ahead
of the events, and what it lacks of them is in the outbox (`manage.py reconcile_stats`).
"""

import base64
import datetime
import decimal
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

import orjson
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import DataError, IntegrityError, connections, models, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.sql import InsertQuery
from django.utils import timezone

from core.locks import advisory
from stats.ledger import partitions, storage
from stats.ledger.database import ALIAS, CONFIGURATION
from stats.models import Day, Event

FORMAT = 1
ROWS_AT_ONCE = 2_000
LEFT_OUT = frozenset({Session._meta.label})
# Tables that hold rows as soon as they are migrated.
FILLED_BY_MIGRATIONS = frozenset(
    {
        "contenttypes.ContentType",
        "auth.Permission",
        "throttling.RuleSet",
        "throttling.ThrottlingTemplate",
        "throttling.ThrottleProgram",
        "throttling.WarmUpPlan",
        "stats.Provider",
        "stats.ProviderDomain",
    }
)

Table = type[models.Model]
# What a line that no backup has ends in, where it is read or where the database takes it.
_OF_DAMAGE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    ValidationError,
    IntegrityError,
    DataError,
)
_MOST_REASON = 300
# The database, or both: that of the configuration first.
_ALIASES = tuple(dict.fromkeys((CONFIGURATION, ALIAS)))


class BackupRefused(Exception):
    """The backup or restore is refused; has the reason."""


def write_backup(path: Path, *, now: datetime.datetime) -> int:
    """Write the database, as of one moment, to a new file; return the number of rows.

    Others may read and write meanwhile. The file appears when it is whole, and only its owner can read it.
    """
    if os.path.lexists(path):
        raise BackupRefused(f"{path} already exists")
    draft = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BackupRefused(f"{draft} exists: another backup is running, or one was interrupted") from None
    try:
        with os.fdopen(descriptor, "wb") as raw:
            with (
                gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, filename="", mtime=0) as file,
                _snapshots(),
            ):
                rows = 0
                for line, counted in _lines(now):
                    file.write(line)
                    rows += counted
            raw.flush()
            os.fsync(raw.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return rows


def restore_backup(path: Path) -> int:
    """Restore the file into a migrated, empty database, all or nothing; return the number of rows.

    Raises BackupRefused where the database holds anything, where its migrations are others than the file's, and where the
    file is not a backup, was cut off or is damaged.
    """
    try:
        return _restored(path)
    except _OF_DAMAGE as problem:
        # A disk or a copy changes what it likes: a name, a number, the shape of a line.
        reason = f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:_MOST_REASON]
        raise BackupRefused(f"{path} is damaged: a line of it is none that `backup` writes ({reason})") from problem


def _restored(path: Path) -> int:
    rows = 0
    with ExitStack() as stack:
        for alias in _ALIASES:
            stack.enter_context(transaction.atomic(using=alias))
        lines = _parsed(path)
        _check_head(next(lines, None))
        # Of two at once, the second finds what the first restored.
        advisory("config.backup.restore")
        _refuse_full_database()
        for table in _tables():
            if table._meta.label in FILLED_BY_MIGRATIONS:
                table._base_manager.all()._raw_delete(using=router.db_for_write(table))
        tail = None
        while (line := next(lines, None)) is not None:
            if "rows" in line:
                tail = line["rows"]
                continue
            table = apps.get_model(line["table"])
            if table is Event:
                held = Day.objects.filter(dropped_at=None).values_list("day", flat=True)
                partitions.create(list(held), now=timezone.now())
            rows += _fill(table, line["columns"], lines, count=line["count"])
        if tail != rows:
            raise BackupRefused(f"{path} was cut off: it should hold {tail} rows and holds {rows}")
        for alias in _ALIASES:
            connection = connections[alias]
            tables = [each for each in _tables() if router.db_for_write(each) == alias]
            for statement in connection.ops.sequence_reset_sql(no_style(), tables):
                connection.cursor().execute(statement)
    return rows


@contextmanager
def _snapshots() -> Iterator[None]:
    """Read as of one moment, of each database: the configuration must not be ahead of the events."""
    with ExitStack() as stack:
        for alias in _ALIASES:
            stack.enter_context(storage.snapshot(using=alias))
            # A snapshot is of the first query.
            connections[alias].cursor().execute("SELECT 1")
        yield


def _tables() -> Iterator[Table]:
    """Yield every table, those before Event that it needs: the days that its partitions are made for."""
    everything = apps.get_models(include_auto_created=True)
    tables = [each for each in everything if each._meta.managed and not each._meta.proxy]
    for table in sorted(tables, key=lambda each: (each is Event, each._meta.label)):
        if table._meta.label not in LEFT_OUT:
            yield table


def _migrations() -> list[list[str]]:
    """Return what was applied, which is the same in both databases; refuses where it is not."""
    applied = [
        sorted([app, name] for app, name in MigrationRecorder(connections[alias]).applied_migrations())
        for alias in _ALIASES
    ]
    if applied[0] != applied[-1]:
        raise BackupRefused("The two databases are not migrated to the same version: run `migrate`")
    return applied[0]


def _lines(now: datetime.datetime) -> Iterator[tuple[bytes, int]]:
    """Yield each line of a backup and its number of rows."""
    yield _line({"sluice_backup": FORMAT, "made_at": now, "migrations": _migrations()}), 0
    total = 0
    for table in _tables():
        columns = [field.attname for field in table._meta.local_concrete_fields]
        rows = table._base_manager.order_by("pk").values_list(*columns)
        count = rows.count()
        total += count
        yield _line({"table": table._meta.label, "columns": columns, "count": count}), 0
        for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
            yield _line(row), 1
    yield _line({"rows": total}), 0


def _line(value: Any) -> bytes:
    return orjson.dumps(value, default=_as_json, option=orjson.OPT_APPEND_NEWLINE)


def _as_json(value: Any) -> str:
    """Return a value that JSON does not have as the text that its field reads; of others a backup must not hold a guess."""
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"a backup cannot hold a {type(value).__name__}")


def _parsed(path: Path) -> Iterator[Any]:
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                yield orjson.loads(line)
    except FileNotFoundError:
        raise BackupRefused(f"The file {path} does not exist") from None
    except (gzip.BadGzipFile, zlib.error, EOFError, orjson.JSONDecodeError, OSError):
        raise BackupRefused(f"{path} is not a backup of Sluice, or was cut off") from None


def _check_head(head: Any) -> None:
    if not isinstance(head, dict) or head.get("sluice_backup") != FORMAT:
        raise BackupRefused("The file is not a backup of Sluice, or of another format")
    theirs = {tuple(each) for each in head["migrations"]}
    ours = {tuple(each) for each in _migrations()}
    if theirs != ours:
        names = ", ".join(sorted(f"{app}.{name}" for app, name in theirs ^ ours))
        raise BackupRefused(
            "The backup belongs to another version of Sluice: restore it with that version, then migrate. "
            f"Differing migrations: {names}"
        )


def _refuse_full_database() -> None:
    full = [
        str(table._meta.verbose_name_plural)
        for table in _tables()
        if table._meta.label not in FILLED_BY_MIGRATIONS and table._base_manager.exists()
    ]
    if full:
        raise BackupRefused(
            f"The database is not empty (it has {', '.join(full)}): restore into a new one, right after `migrate`"
        )


def _fill(table: Table, columns: Iterable[str], lines: Iterator[Any], *, count: int) -> int:
    """Insert the next `count` lines unchanged: without auto_now, folding or signals."""
    known = {field.attname: field for field in table._meta.local_concrete_fields}
    fields = [known[name] for name in columns]
    filled = 0
    connection = connections[router.db_for_write(table)]
    for rows in batched(_next_rows(lines, count), ROWS_AT_ONCE):
        records = [
            table(**{field.attname: field.to_python(value) for field, value in zip(fields, row, strict=True)})
            for row in rows
        ]
        size = connection.ops.bulk_batch_size(fields, records)
        for start in range(0, len(records), size):
            query = InsertQuery(table)
            query.insert_values(fields, records[start : start + size], raw=True)
            query.get_compiler(connection.alias).execute_sql()
        filled += len(records)
    return filled


def _next_rows(lines: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        row = next(lines, None)
        if not isinstance(row, list):
            raise BackupRefused("The file was cut off: a table has fewer rows than it should")
        yield row
