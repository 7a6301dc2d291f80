"""A running panel for end-to-end tests, fuzzing, load tests and benchmarks.

with panel.running(environment) as sluice:
    sluice.manage("create_organization", "ACME Inc", "--json")
    urllib.request.urlopen(sluice.url + "/healthz")
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import processes

ROOT = Path(__file__).resolve().parent.parent
# What tells a panel where its data is. A panel that is given none of them is embedded, in the folder it is given.
PLACES = ("DATABASE_URL", "REDIS_URL", "SLUICE_DATA_DIR", "DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True)
class Panel:
    """A panel that answers."""

    url: str
    environment: dict[str, str]
    log: Path
    web: processes.Server

    def manage(self, *arguments: str) -> str:
        """Run a command of `manage.py` on the panel's data and return what it prints; raises if it fails."""
        return manage(self.environment, *arguments)

    def manage_json(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its object."""
        return json.loads(self.manage(*arguments, "--json"))


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command of `manage.py` in this environment and return what it prints; raises if it fails."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-4000:]}")
    return done.stdout


@contextlib.contextmanager
def running(
    folder: Path,
    places: Mapping[str, str] | None = None,
    *,
    worker: bool = False,
    beat: bool = False,
    static: bool = True,
) -> Iterator[Panel]:
    """Run web (and worker and beat, where wanted) on a free port and end them whatever happens.

    `places` is what `tools.servers.running` yields, for PostgreSQL and Valkey; without it the panel is embedded, on SQLite in
    `folder`. Migrated and ready to answer when this yields. Without `static`, whose compressing takes 20 s of a processor, its
    pages cannot be shown.
    """
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name not in PLACES}
    environment |= {
        "SLUICE_DATA_DIR": str(folder / "var"),
        **(places or {}),
        "PORT": str(port),
        "SLUICE_BIND": "127.0.0.1",
    }
    if places:
        # Plain HTTP on the loopback: what production would put in front is not there.
        environment |= {"SECURE_SSL_REDIRECT": "false"}
    manage(environment, "migrate", "--verbosity", "0")
    if static:
        manage(environment, "collectstatic", "--no-input", "--verbosity", "0")
    celery = [sys.executable, "-m", "celery", "--app", "config", "--quiet"]
    commands = {"web": [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"]}
    if worker:
        commands["worker"] = [*celery, "worker", "--pool", "threads", "--concurrency", "2"]
    if beat:
        commands["beat"] = [*celery, "beat"]
    with contextlib.ExitStack() as stack:
        started = {
            name: stack.enter_context(_process(command, environment, folder / f"{name}.log"))
            for name, command in commands.items()
        }
        log = folder / "web.log"
        processes.wait_until_ready(started["web"], lambda: answers(url), name="The panel", log=log)
        yield Panel(url, environment, log, started["web"])


def answers(url: str) -> bool:
    """Tell whether the panel is there."""
    try:
        urllib.request.urlopen(f"{url}/healthz", timeout=2).close()  # noqa: S310 - our own address
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[processes.Server]:
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=processes.before_exec(None, signal.SIGTERM),
        )
    try:
        yield child
    finally:
        processes.end(child, signal.SIGTERM, seconds=30)
