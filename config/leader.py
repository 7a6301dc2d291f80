"""One of several beats is the leader: the one that holds a lock which ends with its process.

Production: a session's advisory lock of PostgreSQL, on a connection of its own. The server releases it when the connection
closes, so at once where the process was killed, and within 20 seconds where its machine is away. It ends a session that asks
nothing for `SILENT` seconds: the kernel of a frozen process goes on answering for it. A pooler before PostgreSQL
must give the connection a session of its own (pgbouncer: `pool_mode = session`). Embedded: a lock on a file.
"""

import fcntl
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg
import structlog
from django.db import connections

from config.postgresql.bounds import Connection
from config.production import AWAY
from core.locks import number_of

logger = structlog.get_logger(__name__)

# Seconds within which a leader asks whether it still is, and after which one that did not is none.
ASKED_EVERY, SILENT = 5, 20


class Lock(Protocol):
    """What at most one process holds."""

    def is_held(self) -> bool:
        """Return whether this process holds it, asking where that can change."""

    def take(self) -> bool:
        """Take it if nobody holds it, without waiting."""

    def release(self) -> None:
        """Let another process take it."""


class FileLock:
    """A lock on a file: for processes of one machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[str] | None = None

    def is_held(self) -> bool:
        return self.file is not None

    def take(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self.file = file
        return True

    def release(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


class DatabaseLock:
    """A session's advisory lock. While the database is away, nobody holds it."""

    def __init__(self, name: str) -> None:
        self.number = number_of(name)
        self.session: psycopg.Connection[Any] | None = None

    def is_held(self) -> bool:
        if self.session is None:
            return False
        try:
            self.session.execute("SELECT 1")
        except psycopg.Error as problem:
            logger.warning("beat_lost_its_lock", cause=str(problem))
            self.release()
        return self.session is not None

    def take(self) -> bool:
        try:
            self.session = self._connect()
            row = self.session.execute("SELECT pg_try_advisory_lock(%s)", [self.number]).fetchone()
        except psycopg.Error as problem:
            logger.warning("beat_cannot_ask_for_its_lock", cause=str(problem))
            row = None
        if row is None or not row[0]:
            self.release()
        return self.session is not None

    def release(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    @staticmethod
    def _connect() -> psycopg.Connection[Any]:
        """Connect as Django does, and let the server too notice within seconds that the other side is away."""
        wanted = connections.create_connection("default").get_connection_params()
        for client_side in ("cursor_factory", "context"):
            wanted.pop(client_side, None)
        session = Connection.connect(**{**wanted, "application_name": "sluice beat"}, autocommit=True)
        # Of a server that is frozen nothing else tells.
        session.answer_within = AWAY
        for name, value in (
            ("tcp_keepalives_idle", 5),
            ("tcp_keepalives_interval", 5),
            ("tcp_keepalives_count", 2),
            ("tcp_user_timeout", AWAY * 1000),
            ("idle_session_timeout", SILENT * 1000),
        ):
            session.execute("SELECT set_config(%s, %s, false)", [name, str(value)])
        return session
