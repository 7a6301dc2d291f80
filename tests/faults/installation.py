"""A whole Sluice whose parts can be broken: PostgreSQL and Valkey of its own, web, workers and beats."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.faults.client import Client
from tests.stats.faults import servers as cluster
from tools import panel, processes, servers, valkey

POOL = "Pool"
ADDRESS = "192.0.2.1"
PASSWORD = "correct horse battery"


@dataclass
class Installation:
    """The running whole. Whatever is started or started again here ends with it."""

    folder: Path
    sluice: panel.Panel
    client: Client
    server: str
    organization: str
    started: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    # --- PostgreSQL

    @property
    def database_url(self) -> str:
        return self.sluice.environment["DATABASE_URL"]

    @contextlib.contextmanager
    def session(self) -> Iterator[psycopg.Connection[Any]]:
        """A session in the database that is nobody's of the panel's."""
        with psycopg.connect(self.database_url, application_name="faults", autocommit=True) as connection:
            yield connection

    def stop_database(self) -> None:
        cluster.stop_at_once(self.folder)

    def start_database(self) -> None:
        server = cluster.start_again(self.folder, self.database_url)
        self.started.callback(processes.end, server, signal.SIGINT)

    # --- The statistics' own PostgreSQL, where it is given

    @contextlib.contextmanager
    def stats_session(self) -> Iterator[psycopg.Connection[Any]]:
        url = self.sluice.environment["STATS_DATABASE_URL"]
        with psycopg.connect(url, application_name="faults", autocommit=True) as connection:
            yield connection

    def stop_statistics(self) -> None:
        cluster.stop_at_once(self.folder / servers.STATS)

    def start_statistics(self) -> None:
        server = cluster.start_again(self.folder / servers.STATS, self.sluice.environment["STATS_DATABASE_URL"])
        self.started.callback(processes.end, server, signal.SIGINT)

    # --- Valkey

    @contextlib.contextmanager
    def valkey(self) -> Iterator["redis.Redis"]:
        client = redis.Redis.from_url(self.sluice.environment["REDIS_URL"], socket_timeout=5)
        try:
            yield client
        finally:
            client.close()

    def valkey_process(self) -> int:
        with self.valkey() as client:
            return int(client.info("server")["process_id"])

    def stop_valkey(self) -> None:
        """Kill it: it keeps nothing on disk, so it comes back empty."""
        number = self.valkey_process()
        os.kill(number, signal.SIGKILL)
        while cluster.is_running(number):
            pass

    def start_valkey(self) -> None:
        configuration, log = self.folder / "valkey.conf", self.folder / "valkey.log"
        command = [valkey.program(), str(configuration)]
        server = processes.start(command, log=log, user=None, last_signal=signal.SIGTERM)
        self.started.callback(processes.end, server, signal.SIGTERM)
        with self.valkey() as client:
            port = client.connection_pool.connection_kwargs["port"]
        processes.wait_until_ready(server, partial(processes.answers, port), name="Valkey", log=log)

    # --- Processes of Sluice

    def start_worker(self, name: str = "worker") -> processes.Server:
        return self._celery(name, "worker", "--pool", "threads", "--concurrency", "2", "--hostname", f"{name}@here")

    def start_beat(self, name: str = "beat", **environment: str) -> processes.Server:
        return self._celery(name, "beat", **environment)

    def _celery(self, name: str, *arguments: str, **environment: str) -> processes.Server:
        command = [sys.executable, "-m", "celery", "--app", "config", "--quiet", *arguments]
        log = (self.folder / f"{name}.log").open("ab")
        self.started.callback(log.close)
        child = subprocess.Popen(
            command,
            cwd=panel.ROOT,
            env={**self.sluice.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=processes.before_exec(None, signal.SIGTERM),
        )
        self.started.callback(processes.end, child, signal.SIGTERM)
        return child

    def web_workers(self) -> list[int]:
        """Return the processes that answer requests: the children of gunicorn's first."""
        return children_of(self.sluice.web.pid)

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


def children_of(number: int) -> list[int]:
    text = Path(f"/proc/{number}/task/{number}/children").read_text()
    return [int(each) for each in text.split()]


@contextlib.contextmanager
def running(
    folder: Path, *, embedded: bool = False, on: dict[str, str] | None = None, **environment: str
) -> Iterator[Installation]:
    """Run web, with a tenant, one address in a pool, and an operator; the rest is started by who wants it.

    Production has servers of its own, or those of `on`.
    """
    with contextlib.ExitStack() as stack:
        places = {"SLUICE_LOG_FORMAT": "json", **environment}
        if embedded:
            # Its secrets are its own, whatever the tests run with.
            places = {**dict.fromkeys(("SECRET_KEY", "SLUICE_ENCRYPTION_KEYS"), ""), **places}
            places["SLUICE_DATA_DIR"] = str(folder / "var")
        else:
            places = {**(on or stack.enter_context(servers.running())), **places}
            # Where tools.servers keeps what it runs: its own folder, which names itself in the data folder.
            folder = Path(places["SLUICE_DATA_DIR"]).parent
        sluice = stack.enter_context(panel.running(folder, places, static=embedded))
        made = json.loads(
            subprocess.run(
                [sys.executable, "-m", "tests.faults.prepare"],
                cwd=panel.ROOT,
                env=sluice.environment,
                check=True,
                stdout=subprocess.PIPE,
            ).stdout
        )
        client = Client(sluice.url, made["key"], made["token"])
        whole = Installation(folder, sluice, client, made["server"], made["organization"])
        stack.enter_context(whole.started)
        yield whole
