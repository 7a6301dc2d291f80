"""The module that Django loads for ENGINE "config.postgresql"."""

import datetime
import select
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql import base, operations
from django.db.backends.postgresql.psycopg_any import BaseTzLoader, IsolationLevel
from psycopg.adapt import AdaptersMap
from psycopg_pool import ConnectionPool

from config.postgresql import bounds


class UTCLoader(BaseTzLoader):
    """Reads a timestamptz by Python's own parser: Django's loader is Python code, and takes ten times as long.

    What that parser does not know (years that Python has none for) is read, or refused, as Django does.
    """

    timezone = datetime.UTC

    def load(self, data: Any) -> Any:
        try:
            at = datetime.datetime.fromisoformat(str(data, "ascii"))
        except ValueError:
            return super().load(data)
        # Of another zone only where a connection was told one.
        return at if at.tzinfo is datetime.UTC else super().load(data)


@lru_cache
def _with_utc_loader(adapters: AdaptersMap) -> AdaptersMap:
    own = AdaptersMap(adapters)
    own.register_loader("timestamptz", UTCLoader)
    return own


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """Return the SQL for a log of queries, also of a prepared statement, which psycopg keeps none of."""
        return str(super().last_executed_query(cursor, sql, params) or self.compose_sql(sql, params))


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes connections from the pool unasked, bounds what they wait, and has the server keep the plans of some queries.

    Django's CONN_HEALTH_CHECKS costs a round trip with every request, as much as the request's own query. A server that has
    ended or restarted has closed its side, and that can be seen at the socket.
    """

    ops_class = DatabaseOperations
    # By alias: whether it gave no answer.
    _away: ClassVar[dict[str, bounds.Away]] = {}

    def __init__(self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS) -> None:
        if pool := settings_dict["OPTIONS"].get("pool"):
            pool.setdefault("connection_class", bounds.Connection)
        super().__init__(settings_dict, alias)
        self.away = self._away.setdefault(alias, bounds.Away())

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if self.timezone is datetime.UTC:
            params["context"] = _with_utc_loader(params["context"])
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool that the server has not closed.

        While a database gives no answer, one request at a time tries it; those that need it are refused at once otherwise, and
        keep no thread from those that do not. Where the settings have `LEFT_FOR`, one that cannot be connected to is left
        likewise, for so many seconds.
        """
        left_for = self.settings_dict.get("LEFT_FOR")
        is_tried = self.away.is_tried()
        try:
            connection = self._connection(conn_params)
            if is_tried:
                self._try_out(connection)
        except BaseException as problem:
            # After any error: until the outcome of this try is noted, no other request tries.
            if is_tried or (left_for is not None and isinstance(problem, psycopg.OperationalError)):
                self.away.note(left_for or bounds.LEFT_FOR)
            raise
        if is_tried:
            self.away.forget()
        return connection

    def _try_out(self, connection: Any) -> None:
        try:
            connection.try_out()
        except psycopg.OperationalError:
            connection.close()
            if self.pool is not None:
                self.pool.putconn(connection)
            raise

    def _connection(self, conn_params: dict[str, Any]) -> Any:
        pool = self.pool
        if pool is None:
            # As Django does, but for the class.
            self.isolation_level = IsolationLevel.READ_COMMITTED
            return bounds.Connection.connect(**conn_params)
        connection = super().get_new_connection(conn_params)
        # Each connection of a pool may be dead, but no more than there are.
        for _ in range(pool.max_size):
            if is_alive(connection):
                break
            connection.close()
            pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def _configure_connection(self, connection: Any) -> bool:
        """Bound a new connection as its process is.

        Without a pool it may be a pooler's (pgbouncer), whose sessions are not ours to set anything in.
        """
        longest = bounds.longest_statement
        if longest is not None:
            connection.answer_within, connection.away = longest + bounds.GRACE, self.away
            if self.pool is not None:
                connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{longest}s"])
        return bool(super()._configure_connection(connection))  # type: ignore[misc]  # its stubs lack it

    def prepared_cursor(self) -> Any:
        """Return a cursor whose statements the server plans once for each connection (OPTIONS `prepare_threshold`)."""
        if self.settings_dict["OPTIONS"].get("prepare_threshold") is None:
            return self.cursor()
        self.ensure_connection()
        plain = self.connection.cursor_factory
        self.connection.cursor_factory = base.ServerBindingCursor
        try:
            return self.cursor()
        finally:
            self.connection.cursor_factory = plain


def is_alive(connection: psycopg.Connection[Any]) -> bool:
    """Whether the connection is alive. Unexpected data between two queries is checked by a query."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return True
        # A notice, a parameter that changed, or the end.
        ConnectionPool.check_connection(connection)
    except (psycopg.Error, OSError):
        return False
    return True
