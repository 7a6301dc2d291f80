"""What the database holds, as one hash: a refused request must not change it."""

import hashlib
import sqlite3
from pathlib import Path

# What may change whatever is answered: when a key was last used, and what the worker does meanwhile.
IGNORED_COLUMNS = {"last_used_at", "last_login"}
IGNORED_TABLES = {"django_session", "sqlite_sequence"}


class State:
    """A reader of an embedded panel's database, at its side."""

    def __init__(self, database: Path) -> None:
        self.connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        self.queries = [
            self._query(table) for (table,) in self._rows("SELECT name FROM sqlite_master WHERE type='table'")
        ]

    def digest(self) -> str:
        """Return a hash over every row of every table."""
        digest = hashlib.sha256()
        self.connection.execute("BEGIN")
        for query in self.queries:
            if query:
                digest.update(query.encode())
                for row in self._rows(query):
                    digest.update(repr(row).encode())
        self.connection.execute("ROLLBACK")
        return digest.hexdigest()

    def pks(self, table: str) -> list[str]:
        """Return some ids that a table holds."""
        return [str(pk) for (pk,) in self._rows(f"SELECT id FROM {table} LIMIT 50")]  # noqa: S608 - our own names

    def servers(self) -> list[str]:
        """Return the uuids of all servers, deleted ones too."""
        return [uuid for (uuid,) in self._rows("SELECT uuid FROM servers_server")]

    def working_digests(self) -> set[str]:
        """Return the hashes of the API keys whose server lives."""
        living = "SELECT id FROM servers_server WHERE deleted_at IS NULL"
        query = f"SELECT key_digest FROM servers_credential WHERE kind = 'api' AND server_id IN ({living})"  # noqa: S608
        return {digest for (digest,) in self._rows(query)}

    def close(self) -> None:
        self.connection.close()

    def _query(self, table: str) -> str:
        if table in IGNORED_TABLES:
            return ""
        columns = [row[1] for row in self._rows(f"PRAGMA table_info('{table}')") if row[1] not in IGNORED_COLUMNS]
        names = ", ".join(f'"{column}"' for column in columns)
        return f"SELECT {names} FROM '{table}' ORDER BY 1"  # noqa: S608 - names from the database itself

    def _rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()
