"""The databases that are broken: a durable PostgreSQL that can be stopped at once, and a SQLite file."""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from tools import migrated, panel, processes
from tools import postgresql as cluster

PRODUCTION = (
    "DATABASE_URL",
    "STATS_DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "SLUICE_ENCRYPTION_KEYS",
    "ALLOWED_HOSTS",
)
FOLDER = "SLUICE_FAULTS_FOLDER"


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment without a database of somebody else's."""
    plain = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
    return plain | {
        "SLUICE_DATA_DIR": str(folder / "var"),
        "SLUICE_LOG_LEVEL": "CRITICAL",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        FOLDER: str(folder),
    }


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[dict[str, str]]:
    environment = surroundings(folder)
    migrate(environment)
    yield environment


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster with fsync on. Nothing of it needs Redis: that address is never asked."""
    with cluster.running(folder, settings=cluster.DURABLE) as url:
        environment = surroundings(folder) | {
            "DATABASE_URL": url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SLUICE_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "localhost",
            "SLUICE_DATABASE_POOL": "0",
        }
        migrate(environment)
        try:
            yield environment
        finally:
            # The one that a stop started again is not known to `running`.
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(postmaster(folder), signal.SIGQUIT)


def migrate(environment: dict[str, str]) -> None:
    migrated.migrated(environment, lambda: panel.manage(environment, "migrate", "--verbosity", "0"))


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def stop_at_once(folder: Path) -> None:
    """What `pg_ctl stop -m immediate` does: every process of the cluster ends where it is."""
    number = postmaster(folder)
    os.kill(number, signal.SIGQUIT)
    deadline = time.monotonic() + 30
    while is_running(number):
        assert time.monotonic() < deadline, "PostgreSQL does not stop"
        time.sleep(0.02)


def is_running(number: int) -> bool:
    """Whether the process is there; one that has ended and is not waited for counts as gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def start_again(folder: Path, url: str) -> processes.Server:
    """Start the cluster on its old port; it recovers first."""
    user = processes.lesser_user()
    binaries = cluster.programs(user, folder)
    port = urlsplit(url).port
    always = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", f"port={port}"]
    options = [part for setting in [*always, *cluster.DURABLE] for part in ("-c", setting)]
    log = folder / "postgresql.log"
    command = [str(binaries / "postgres"), "-D", str(folder / "data"), *options]
    server = processes.start(command, log=log, user=user, last_signal=signal.SIGINT)
    assert port is not None
    processes.wait_until_ready(server, partial(cluster.accepts, binaries, port), name="PostgreSQL", log=log)
    return server
