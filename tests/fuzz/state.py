"""What the database holds, as a hash for each table: a refused request must not change it."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier, Literal

# What may change whatever is answered: when a key was last used, and what the worker does meanwhile.
IGNORED_COLUMNS = {"last_used_at", "last_login"}
IGNORED_TABLES = {"django_session", "sqlite_sequence"}
KINDS_OF_VIRTUAL_MTA = {"ippools_ipaddress", "ippools_relayserver", "ippools_routingrule"}


class Rows(Protocol):
    """A reader of the panel's database, at its side."""

    def rows(self, query: str) -> list[tuple]:
        """Return what a query of our own words finds."""

    def digests(self) -> dict[str, str]:
        """Return a hash over every row of each table, at one moment."""

    def close(self) -> None: ...


class SqliteRows:
    """The embedded panel's file."""

    def __init__(self, database: Path) -> None:
        self.connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        tables = self.rows("SELECT name FROM sqlite_master WHERE type='table'")
        self.queries = {table: self._query(table) for (table,) in tables if table not in IGNORED_TABLES}

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def digests(self) -> dict[str, str]:
        self.connection.execute("BEGIN")
        found = {
            table: hashlib.sha256(repr(self.rows(query)).encode()).hexdigest() for table, query in self.queries.items()
        }
        self.connection.execute("ROLLBACK")
        return found

    def close(self) -> None:
        self.connection.close()

    def _query(self, table: str) -> str:
        columns = [row[1] for row in self.rows(f"PRAGMA table_info('{table}')") if row[1] not in IGNORED_COLUMNS]
        names = ", ".join(f'"{column}"' for column in columns)
        return f"SELECT {names} FROM '{table}' ORDER BY 1"


class PostgresqlRows:
    """The production panel's database."""

    def __init__(self, url: str) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(url, application_name="fuzz", autocommit=True)
        columns: dict[str, list[str]] = {}
        for table, column in self.rows(
            "SELECT c.table_name, column_name FROM information_schema.columns c JOIN information_schema.tables t"
            " USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            " ORDER BY c.table_name, ordinal_position"
        ):
            if table not in IGNORED_TABLES and column not in IGNORED_COLUMNS:
                columns.setdefault(table, []).append(column)
        # One statement sees one moment; the rows are hashed where they are.
        self.statement = SQL(" UNION ALL ").join(
            SQL(
                "SELECT {}, md5(string_agg(md5(each::text), '' ORDER BY md5(each::text))) FROM (SELECT {} FROM {}) each"
            ).format(Literal(table), SQL(", ").join(map(Identifier, names)), Identifier(table))
            for table, names in columns.items()
        )

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def digests(self) -> dict[str, str]:
        return dict(self.connection.execute(self.statement).fetchall())

    def close(self) -> None:
        self.connection.close()


class State:
    """What the fuzzer must know of the panel, whatever database it has."""

    def __init__(self, reader: Rows) -> None:
        self.reader = reader

    def digests(self) -> dict[str, str]:
        """Return a hash over every row of each table."""
        return self.reader.digests()

    def pks(self, table: str) -> list[str]:
        """Return some ids that a table holds."""
        key = "virtualmta_ptr_id" if table in KINDS_OF_VIRTUAL_MTA else "id"
        return [str(pk) for (pk,) in self.reader.rows(f"SELECT {key} FROM {table} LIMIT 50")]

    def uuids(self, table: str) -> list[str]:
        """Return the last uuids of a table, as the API writes them, those of deleted servers too; of an empty one, ""."""
        rows = self.reader.rows(f"SELECT uuid FROM {table} ORDER BY id DESC LIMIT 50")
        return [str(UUID(str(uuid))) for (uuid,) in rows] or [""]

    def working_digests(self) -> set[str]:
        """Return the hashes of the API keys whose server lives."""
        living = "SELECT id FROM servers_server WHERE deleted_at IS NULL"
        query = f"SELECT key_digest FROM servers_credential WHERE kind = 'api' AND server_id IN ({living})"
        return {digest for (digest,) in self.reader.rows(query)}

    def close(self) -> None:
        self.reader.close()
