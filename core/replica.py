"""Reads from a replica of the database (DATABASE_REPLICA_URL), as far behind as a reader may find it, and no further.

`read` lets a function read there. Three things hold, or the function reads from the primary:

* It sees every change that the audit trail recorded before it began, whoever made it and wherever: each notes the primary's
  position in the log (LSN) after its commit, in Redis, and the replica must have replayed that.
* It sees everything else, such as counts, that was committed SLUICE_REPLICA_LAG seconds before: each process asks the primary
  for its position once a second, and the replica must have replayed one that is not older. What the replica says of its own
  lag is not asked: it cannot know what does not reach it.
* Where the replica fails, the function runs again, on the primary. So it must change nothing.

While a function reads there, the replica's connection stands in the place of the thread's own: for the ORM and for SQL alike,
so that no answer is put together from two states. docs/decisions/0019 says why this is no router of Django's.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, OperationalError, connections, transaction

from core import broker

if TYPE_CHECKING:
    import redis

logger = structlog.get_logger(__name__)

REPLICA = "replica"
_PAIR = (DEFAULT_DB_ALIAS, REPLICA)
LAST_CHANGE = "sluice.last_change"
# Seconds between two questions for the primary's position, and until a replica that failed is tried again.
_ASKED_EVERY, _LEFT_FOR = 1, 10
_WRITTEN = "SELECT pg_current_wal_insert_lsn() - '0/0'"
_REPLAYED = "SELECT pg_last_wal_replay_lsn() - '0/0' WHERE pg_is_in_recovery()"


class NotAReplica(Exception):
    """The server is no standby: it was promoted, or the wrong one was named."""


class Freshness:
    """What this process knows of the replica's position."""

    def __init__(self) -> None:
        # Positions of the primary, each with a moment at which it was not behind it.
        self.positions: deque[tuple[float, int]] = deque()
        self.replayed = 0
        self.asked_at = self.left_until = float("-inf")
        self.asking = threading.Lock()

    def is_enough(self) -> bool:
        """Return whether a reader may read there now."""
        # Where there is no replica, a command need not load it.
        from redis.exceptions import RedisError

        now = time.monotonic()
        if now < self.left_until:
            return False
        try:
            wanted = last_change()
            if now - self.asked_at >= _ASKED_EVERY and self.asking.acquire(blocking=False):
                try:
                    self.ask(now)
                finally:
                    self.asking.release()
            if wanted > self.replayed or not self.is_bounded(now):
                self.replayed = _position(REPLICA, _REPLAYED)
        except (Error, NotAReplica, RedisError, OSError) as problem:
            self.leave(problem)
            return False
        return wanted <= self.replayed and self.is_bounded(now)

    def ask(self, now: float) -> None:
        """Note where the primary is, and forget what is too long ago to say anything."""
        self.asked_at = now
        self.positions.append((now, _position(DEFAULT_DB_ALIAS, _WRITTEN)))
        while self.positions[0][0] < now - settings.SLUICE_REPLICA_LAG:
            self.positions.popleft()

    def is_bounded(self, now: float) -> bool:
        """Return whether the replica has replayed a position that is young enough."""
        earliest = now - settings.SLUICE_REPLICA_LAG
        return any(at >= earliest and position <= self.replayed for at, position in tuple(self.positions))

    def leave(self, problem: Exception) -> None:
        """Use the primary for a while."""
        self.left_until = time.monotonic() + _LEFT_FOR
        # Its address may lead to another one next time.
        self.replayed = 0
        connections[REPLICA].close()
        logger.warning("replica_left", seconds=_LEFT_FOR, cause=str(problem) or type(problem).__name__)


_freshness = Freshness()
_client: "redis.Redis | None" = None


def is_there() -> bool:
    """Return whether there is a replica to read from."""
    return REPLICA in connections.settings


def read[Found](find: Callable[[], Found]) -> Found:
    """Return what the function finds, on the replica where that is fresh enough. It must change nothing, and may run twice."""
    if not is_there() or connections[DEFAULT_DB_ALIAS].in_atomic_block or not _freshness.is_enough():
        return find()
    try:
        with _in_place_of_the_primary():
            return find()
    except Error as problem:
        if any(connections[alias].errors_occurred for alias in connections.settings if alias not in _PAIR):
            # Of a database that has no replica, such as that of the statistics.
            raise
        connections[REPLICA].close()
        if isinstance(problem, OperationalError | InterfaceError):
            _freshness.leave(problem)
        else:
            # A write, or a fault that the primary will find too.
            logger.warning("replica_not_used", cause=str(problem))
    return find()


def note_change() -> None:
    """Let readers of the replica see what the running transaction changes, from its commit on."""
    if not is_there():
        return
    waiting = connections[DEFAULT_DB_ALIAS].run_on_commit
    if not (waiting and waiting[-1][1] is _note):
        # What is done is done, and its caller is told so, also where it cannot be noted.
        transaction.on_commit(_note, robust=True)


def last_change() -> int:
    """Return the position after the last change that was recorded."""
    noted: object = _redis().zscore(LAST_CHANGE, "lsn")
    return int(noted) if isinstance(noted, float) else 0


def _note() -> None:
    position = _position(DEFAULT_DB_ALIAS, _WRITTEN)
    # Of two that note at once, the greater one stays. A position that is forgotten is older than the bound of the lag.
    with _redis().pipeline(transaction=False) as pipeline:
        pipeline.zadd(LAST_CHANGE, {"lsn": position}, gt=True)
        pipeline.expire(LAST_CHANGE, settings.SLUICE_REPLICA_LAG + 60)
        pipeline.execute()


def _redis() -> "redis.Redis":
    global _client
    if _client is None:
        from core import redis_clients

        _client = redis_clients.client(settings.REDIS_URL, **broker.CACHE_TIMEOUTS)
    return _client


def _position(alias: str, query: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    if row is None or row[0] is None:
        raise NotAReplica("the server is not a standby")
    return int(row[0])


@contextmanager
def _in_place_of_the_primary() -> Iterator[None]:
    primary = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connections[REPLICA]
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = primary
