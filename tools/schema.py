"""Describes database schemas, and stores those of releases, from which migrations must work.

`python -m tools.schema 0.1.0` writes that of the code as it is, on both databases, into tests/schemas/; with it come the rows
that migrations make, and which migrations were applied.
"""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg

from tools import postgresql, processes, servers

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "schemas"
# Of an unmigrated database: only Django's list of applied migrations is left.
EMPTY: list[str] = []

POSTGRESQL = """
    SELECT 'column ' || table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable ||
           ' ' || coalesce(column_default, '') || ' ' || coalesce(character_maximum_length::text, '')
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint ' || conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL
    SELECT 'index ' || tablename || ' ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'trigger ' || tgrelid::regclass::text || ' ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
"""


def described(environment: Mapping[str, str]) -> list[str]:
    """Return every column, constraint, index and trigger of the database, a line each; of partitions, none."""
    url = environment.get("DATABASE_URL")
    if url:
        with psycopg.connect(url) as connection:
            # A condition that was dumped and read again is the same with other casts and brackets.
            found = [
                re.sub(r"::(character varying|text)\b(\[\])?|[()]", "", row[0])
                for row in connection.execute(POSTGRESQL)
            ]
    else:
        with contextlib.closing(sqlite3.connect(sqlite_file(environment))) as connection:
            query = "SELECT type || ' ' || tbl_name || ' ' || coalesce(sql, name) FROM sqlite_master"
            found = [_plain(row[0]) for row in connection.execute(query)]
    return sorted(line for line in found if _is_ours(line.split()[1]))


def _is_ours(table: str) -> bool:
    # A day's partition exists only after its first use.
    return not re.fullmatch(r"django_migrations|sqlite_.*|stats_event_\d+.*", table.strip('"'))


def _plain(sql: str) -> str:
    """SQLite keeps the text of a statement: a column that was added later is at the end, which is the only difference."""
    name, _, columns = sql.partition("(")
    return f"{name}({', '.join(sorted(part.strip() for part in columns.split(',')))}"


def is_empty(environment: Mapping[str, str]) -> bool:
    """Whether there is no table yet, and on SQLite no file."""
    if url := environment.get("DATABASE_URL"):
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public' LIMIT 1")
            return found.fetchone() is None
    return not sqlite_file(environment).exists()


def releases() -> list[str]:
    """Return the releases whose schemas are kept, oldest first."""
    names = (path.name.removesuffix(".postgresql.sql") for path in FOLDER.glob("*.postgresql.sql"))
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def load(release: str, environment: Mapping[str, str]) -> None:
    """Fill an empty database with a release's schema."""
    fill((FOLDER / f"{release}.{engine_of(environment)}.sql").read_text(), environment)


def engine_of(environment: Mapping[str, str]) -> str:
    """Return which database an environment names, by the word that the files of its schemas end in."""
    return "postgresql" if environment.get("DATABASE_URL") else "sqlite"


def fill(statements: str, environment: Mapping[str, str]) -> None:
    """Fill an empty database with what `dumped` returned."""
    if url := environment.get("DATABASE_URL"):
        with psycopg.connect(url) as connection:
            connection.execute(statements.encode())
        return
    sqlite_file(environment).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(sqlite_file(environment))) as database:
        database.executescript(statements)


def sqlite_file(environment: Mapping[str, str]) -> Path:
    """Return where an environment without a DATABASE_URL has its database."""
    return Path(environment["SLUICE_DATA_DIR"]) / "sluice.sqlite3"


def write(release: str) -> None:
    """Write the schema of the code as it is."""
    FOLDER.mkdir(exist_ok=True)
    plain = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    plain["DJANGO_SETTINGS_MODULE"] = "config.settings"
    with tempfile.TemporaryDirectory(prefix="sluice-schema-") as folder, servers.running() as production:
        for environment in ({**plain, "SLUICE_DATA_DIR": folder}, {**plain, **production}):
            _migrate(environment)
            (FOLDER / f"{release}.{engine_of(environment)}.sql").write_text(dumped(environment))


def dumped(environment: Mapping[str, str]) -> str:
    """Return the statements that make a database's schema and rows; PostgreSQL's is one of `tools.servers`."""
    url = environment.get("DATABASE_URL")
    if not url:
        with contextlib.closing(sqlite3.connect(sqlite_file(environment))) as database:
            return "\n".join(database.iterdump()) + "\n"
    binaries = postgresql.programs(processes.lesser_user(), Path(environment["SLUICE_DATA_DIR"]).parent)
    command = [str(binaries / "pg_dump"), "--no-owner", "--no-privileges", "--inserts", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # pg_dump's own words for psql, its versions, and settings that newer and older servers do not share.
    left_out = re.compile(r"^(\\.*|--.*|SET .*|SELECT pg_catalog\.set_config.*|)\n", re.MULTILINE)
    return "SET search_path = public;\n" + left_out.sub("", text).replace("CREATE SCHEMA public;\n", "")


def _migrate(environment: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=dict(environment), check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]):
        sys.exit("Usage: python -m tools.schema VERSION")
    write(sys.argv[1])
