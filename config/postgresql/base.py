"""The module that Django loads for ENGINE "config.postgresql"."""

import datetime
import select
import time
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from django.db.backends.postgresql import base, operations
from django.db.backends.postgresql.psycopg_any import BaseTzLoader
from psycopg.adapt import AdaptersMap
from psycopg_pool import ConnectionPool


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
    """Takes connections from the pool without a query to check them, and has the server keep the plans of some queries.

    Django's CONN_HEALTH_CHECKS costs a round trip with every request, as much as the request's own query. A server that has
    ended or restarted has closed its side, and that can be seen at the socket.
    """

    ops_class = DatabaseOperations
    # By alias: until when (of `time.monotonic`) a database that was away is not asked again.
    _left_until: ClassVar[dict[str, float]] = {}

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if self.timezone is datetime.UTC:
            params["context"] = _with_utc_loader(params["context"])
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool that the server has not closed.

        Where the settings have `LEFT_FOR`, one that does not answer is left for so many seconds: requests that need it are
        refused at once then, and keep no thread from those that do not.
        """
        left_for = self.settings_dict.get("LEFT_FOR")
        if left_for is None:
            return self._connection(conn_params)
        if time.monotonic() < self._left_until.get(self.alias, 0.0):
            raise psycopg.OperationalError("the database did not answer a moment ago")
        try:
            return self._connection(conn_params)
        except psycopg.OperationalError:
            self._left_until[self.alias] = time.monotonic() + left_for
            raise

    def _connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        pool = self.pool
        if pool is None:
            return connection
        # Each connection of a pool may be dead, but no more than there are.
        for _ in range(pool.max_size):
            if is_alive(connection):
                break
            connection.close()
            pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def prepared_cursor(self) -> Any:
        """Return a cursor whose statements the server plans once for each connection (OPTIONS `prepare_threshold`)."""
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
