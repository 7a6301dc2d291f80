"""The agent's state in a SQLite file: unsent events, the position in each log, and the applied policy.

Lines read and the events in them are written in one transaction: whenever the agent is killed, a line is either unread, or read
and its events are kept. Python 3.9, standard library only.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager

SCHEMA = """
create table if not exists event(n integer primary key autoincrement, at text not null default '', body text not null);
create table if not exists place(log text primary key, mark text not null, offset integer not null);
create table if not exists refused(
    n integer primary key autoincrement, code text not null, message text not null, body text not null
);
create table if not exists memory(name text primary key, value text not null);
create table if not exists kept(
    n integer primary key autoincrement, name text not null, key text not null, value text not null, unique(name, key)
);
"""
MOST_REFUSED_KEPT = 1000


class Spool:
    """One connection for all threads, one at a time."""

    def __init__(self, path):
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("pragma journal_mode=wal")
        # An answered event is gone from the log's unread part: it must not be lost with the power.
        self._db.execute("pragma synchronous=full")
        self._db.executescript(SCHEMA)

    def close(self):
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self):
        """Keep all or nothing of what is written inside, also where the disk is full."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def place(self, log):
        """Return (mark, offset) of a log; None: it was never read."""
        with self._lock:
            return self._db.execute("select mark, offset from place where log = ?", (log,)).fetchone()

    def keep(self, places, state, events, changes=None):
        """Note how far logs are read ({log: (mark, offset)}), with the reader's state and the events found on the way.

        Of what is large in the state there are `changes` alone: {name: {key: text, None where it is gone}}.
        """
        rows = [(str(event.get("at", "")), json.dumps(event, ensure_ascii=False)) for event in events]
        with self.transaction() as db:
            db.executemany("insert into event(at, body) values (?, ?)", rows)
            db.executemany(
                "insert or replace into place values (?, ?, ?)", [(log, *place) for log, place in places.items()]
            )
            db.execute("insert or replace into memory values ('reader', ?)", (json.dumps(state),))
            for name, texts in (changes or {}).items():
                gone = [(name, key) for key, text in texts.items() if text is None]
                db.executemany("delete from kept where name = ? and key = ?", gone)
                db.executemany(
                    "insert or replace into kept(name, key, value) values (?, ?, ?)",
                    [(name, key, text) for key, text in texts.items() if text is not None],
                )

    def kept(self, name):
        """Return what was kept under a name, by key: what changed last is last."""
        with self._lock:
            return dict(self._db.execute("select key, value from kept where name = ? order by n", (name,)))

    def add(self, events, most):
        """Keep events that no log has; none where so many are waiting already."""
        rows = [(str(event.get("at", "")), json.dumps(event, ensure_ascii=False)) for event in events]
        with self.transaction() as db:
            if db.execute("select count(*) from event").fetchone()[0] < most:
                db.executemany("insert into event(at, body) values (?, ?)", rows)

    def waiting(self):
        """Return the number of unsent events, and the time of the oldest (None if there are no events)."""
        with self._lock:
            count = self._db.execute("select count(*) from event").fetchone()[0]
            oldest = self._db.execute("select at from event order by n limit 1").fetchone()
        return count, (oldest[0] or None) if oldest else None

    def batch(self, most):
        """Return the oldest events, as [(number, JSON text)]."""
        with self._lock:
            return self._db.execute("select n, body from event order by n limit ?", (most,)).fetchall()

    def answered(self, rows, refused):
        """Forget events that the panel took; those that it refused are kept aside: [(row, code, message)]."""
        with self.transaction() as db:
            db.executemany("delete from event where n = ?", [(number,) for number, _ in rows])
            db.executemany(
                "insert into refused(code, message, body) values (?, ?, ?)",
                [(code, message, row[1]) for row, code, message in refused],
            )
            db.execute("delete from refused where n <= (select max(n) from refused) - ?", (MOST_REFUSED_KEPT,))
        if refused:
            self.remember("events_refused", self.recall("events_refused", 0) + len(refused))

    def recall(self, name, otherwise=None):
        """Return what was remembered under a name."""
        with self._lock:
            row = self._db.execute("select value from memory where name = ?", (name,)).fetchone()
        return otherwise if row is None else json.loads(row[0])

    def remember(self, name, value):
        """Keep a value (JSON) under a name."""
        with self.transaction() as db:
            db.execute("insert or replace into memory values (?, ?)", (name, json.dumps(value)))
