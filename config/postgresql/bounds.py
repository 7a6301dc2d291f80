"""How long processes wait for PostgreSQL: for a statement, for any answer, and for a server that gave none.

A server that is frozen (SIGSTOP, a paused machine, storage that hangs) closes no connection, and its kernel goes on
acknowledging what is sent, so that neither keepalives nor `tcp_user_timeout` see anything. Only who waits for the answer can
tell. In web processes the time itself is bounded. Statements of workers and commands may take hours: who waits for long asks by
another connection whether the server still answers.
"""

import threading
import time
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import _WaitTimeout
from psycopg_pool import ConnectionPool

# Seconds beyond its longest statement in which a server that works has answered.
GRACE = 5
# Seconds that a server which gave no answer is left, and in which it must then answer one request that tries it.
LEFT_FOR, TRIED_FOR = 2, 3

# Seconds after which a process without bounds asks whether the server still answers, and in which one that works lets it in.
ASKED_AFTER, LETS_IN_WITHIN = 60, 30

# Seconds that a statement of this process may take (PostgreSQL's `statement_timeout`); None: as long as it takes.
longest_statement: int | None = None


def bound(seconds: int) -> None:
    """Bound the statements of this process, and the wait for their answers; 0 leaves them unbounded."""
    global longest_statement
    longest_statement = seconds or None


class Away:
    """Whether a database gave no answer: then one request at a time tries it, and the others are refused at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Until when (of `time.monotonic`) nobody tries it; None while it answers.
        self._until: float | None = None

    def note(self, seconds: float = LEFT_FOR) -> None:
        """Leave it for so long."""
        self._until = time.monotonic() + seconds

    def forget(self) -> None:
        """It has answered."""
        self._until = None

    def is_tried(self) -> bool:
        """Return whether the caller is the one who tries it, and must note or forget it then.

        False where all is well; raises OperationalError where it is away and not this caller's to try.
        """
        with self._lock:
            if self._until is None:
                return False
            if time.monotonic() < self._until:
                raise psycopg.OperationalError("the database did not answer a moment ago")
            self._until = float("inf")
            return True


class Connection(psycopg.Connection[Any]):
    """A connection that can give up waiting: it is closed then, and what it did last may have been executed or not."""

    # Seconds; None waits for as long as the server lets others in.
    answer_within: float | None = None
    away: Away | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server; raises OperationalError where it gives no answer in time, or is frozen."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        seconds = self.answer_within or ASKED_AFTER
        while True:
            try:
                return super().wait(gen, interval, seconds)
            except _WaitTimeout as silence:
                # What was waited for is still there, and can be waited for again.
                if self.answer_within is None and not self._is_frozen():
                    continue
                self.close()
                if self.away is not None:
                    # To be tried at once: it may be this statement alone, such as a commit that waits for a standby.
                    self.away.note(0)
                raise psycopg.OperationalError(f"the database gave no answer in {seconds} s") from silence

    def _is_frozen(self) -> bool:
        """Return whether the server lets nobody in. A refusal is an answer; who is gone without one, keepalives find."""
        info = self.info
        there = make_conninfo(
            info.dsn,
            host=info.host,
            hostaddr=info.hostaddr,
            port=info.port,
            password=info.password,
            target_session_attrs="any",
            connect_timeout=LETS_IN_WITHIN,
        )
        try:
            psycopg.connect(there).close()
        except psycopg.errors.ConnectionTimeout:
            return True
        except psycopg.Error:
            return False
        return False

    def try_out(self) -> None:
        """Ask something; raises OperationalError where no answer comes soon."""
        usual, self.answer_within = self.answer_within, TRIED_FOR
        try:
            ConnectionPool.check_connection(self)
        finally:
            self.answer_within = usual
