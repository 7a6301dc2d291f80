"""A temporary standby of a temporary PostgreSQL: streaming replication, synchronous where wanted, and promotion.

with postgresql.running(folder) as primary, standby.running(folder, primary) as second:
    second.make_synchronous()
    second.promote()
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tools import postgresql, processes

_WITHIN = 60


@dataclass
class Standby:
    """A running standby, and the primary that it follows."""

    primary: str
    url: str
    data: Path
    binaries: Path
    server: processes.Server

    def kill(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does."""
        processes.end(self.server, signal.SIGQUIT)

    def start_again(self) -> None:
        """Start it where it was."""
        user, port = processes.lesser_user(), urlsplit(self.url).port or 0
        log = self.data.with_suffix(".log")
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}", *postgresql.FAST]
        options = [part for setting in (*settings, "max_connections=200") for part in ("-c", setting)]
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *options]
        self.server = processes.start(command, log=log, user=user, last_signal=signal.SIGINT)
        is_ready = partial(postgresql.accepts, self.binaries, port)
        processes.wait_until_ready(self.server, is_ready, name="The standby", log=log)

    def make_synchronous(self) -> None:
        """Let the primary confirm no commit that is not on the standby's disk."""
        with _session(self.primary) as session:
            session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            session.execute("SELECT pg_reload_conf()")
            _wait(lambda: _one(session, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)

    def promote(self) -> None:
        """Make it the primary; returns when it takes writes."""
        with _session(self.url) as session:
            session.execute("SELECT pg_promote(true, 60)")
            _wait(lambda: _one(session, "SELECT pg_is_in_recovery()") is False)

    def pause(self) -> None:
        """Receive on, but show nothing new to readers."""
        with _session(self.url) as session:
            session.execute("SELECT pg_wal_replay_pause()")
            _wait(lambda: _one(session, "SELECT pg_get_wal_replay_pause_state()") == "paused")

    def resume(self) -> None:
        """Show what has come in the meantime."""
        with _session(self.url) as session:
            session.execute("SELECT pg_wal_replay_resume()")


@contextlib.contextmanager
def running(folder: Path, primary: str) -> Iterator[Standby]:
    """Copy the primary, whose folder this is, and run the copy as a standby."""
    user = processes.lesser_user()
    binaries = postgresql.programs(user, folder)
    data = folder / "standby"
    log = data.with_suffix(".log")
    data.mkdir(mode=0o700)
    if user is not None:
        os.chown(data, user.pw_uid, user.pw_gid)
    address = urlsplit(primary)
    subprocess.run(
        [
            str(binaries / "pg_basebackup"),
            *("--pgdata", str(data)),
            *("--dbname", f"host=127.0.0.1 port={address.port} user={address.username} application_name=standby"),
            *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync", "--write-recovery-conf"),
        ],
        check=True,
        cwd="/",
        env={**os.environ, "PGPASSWORD": address.password or ""},
        preexec_fn=processes.before_exec(user, signal.SIGKILL),
    )
    server, port = postgresql.started(binaries, data, log, user, postgresql.FAST)
    url = f"postgres://{address.username}:{address.password}@127.0.0.1:{port}/postgres"
    found = Standby(primary, url, data, binaries, server)
    try:
        with _session(primary) as session:
            _wait(lambda: _one(session, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1)
        yield found
    finally:
        processes.end(found.server, signal.SIGINT)
        shutil.rmtree(data, ignore_errors=True)


def _session(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, application_name="tools")


def _one(session: psycopg.Connection[Any], query: str) -> object:
    row = session.execute(query).fetchone()
    return row and row[0]


def _wait(is_true: Any) -> None:
    deadline = time.monotonic() + _WITHIN
    while not is_true():
        if time.monotonic() > deadline:
            raise processes.NotReady(f"The standby was not where it should be within {_WITHIN} s.")
        time.sleep(0.02)
