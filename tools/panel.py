"""The one launcher of a running panel: for end-to-end tests, fuzzing, load, faults and benchmarks.

`running` brings its own data, `up` is what `make run` starts, `serving` is the web server alone, on data that is there.

    with panel.running(folder) as sluice:
        sluice.manage("create_organization", "ACME Inc", "--json")
        urllib.request.urlopen(sluice.url + "/healthz")
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import migrated, processes

ROOT = Path(__file__).resolve().parent.parent
# What tells a panel where its data is and how to run; given none of them, it is embedded, in its own folder.
PLACES = (
    "DATABASE_URL", "STATS_DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SLUICE_ENCRYPTION_KEYS", "ALLOWED_HOSTS", "DEBUG", "PORT",
    "SLUICE_DATA_DIR", "DJANGO_SETTINGS_MODULE",
)  # fmt: skip
# On a machine that is busy with other things: alone it takes some seconds.
_UP_WITHIN = 120
_GREETING = re.compile(r"Sign in as (\S+) with the password (\S+)")
_IS_UP = "Press Ctrl-C to stop."


@dataclass(frozen=True)
class Panel:
    """A panel that answers."""

    url: str
    environment: dict[str, str]
    log: Path
    web: processes.Server

    @property
    def port(self) -> int:
        return int(self.environment["PORT"])

    def manage(self, *arguments: str) -> str:
        """Run a command of `manage.py` on the panel's data and return what it prints; raises if it fails."""
        return manage(self.environment, *arguments)

    def manage_json(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its object."""
        return json.loads(self.manage(*arguments, "--json"))


@dataclass(frozen=True)
class Up(Panel):
    """A panel as `make run` starts it; `web` is the process that watches over the others."""

    operator: str
    password: str


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command of `manage.py` in this environment and return what it prints; raises if it fails."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-4000:]}")
    return done.stdout


def surroundings(folder: Path, places: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a panel on the loopback with a port of its own: at `places`, or embedded in `folder`."""
    kept = {name: value for name, value in os.environ.items() if name not in PLACES}
    own = {"SLUICE_DATA_DIR": str(folder / "var"), "SLUICE_BIND": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    environment = kept | own | {"PORT": str(processes.free_port())} | dict(places or {})
    if environment.get("DATABASE_URL"):
        # Plain HTTP on the loopback: what production would put in front is not there.
        environment |= {"SECURE_SSL_REDIRECT": "false"}
    return environment


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
    environment = surroundings(folder, places)
    migrated.migrated(environment, lambda: manage(environment, "migrate", "--verbosity", "0"))
    if static:
        manage(environment, "collectstatic", "--no-input", "--verbosity", "0")
    celery = [sys.executable, "-m", "celery", "--app", "config", "--quiet"]
    beside = {}
    if worker:
        beside["worker"] = [*celery, "worker", "--pool", "threads", "--concurrency", "2"]
    if beat:
        beside["beat"] = [*celery, "beat"]
    with contextlib.ExitStack() as stack:
        for name, command in beside.items():
            stack.enter_context(_process(command, environment, folder / f"{name}.log"))
        yield stack.enter_context(serving(environment, folder / "web.log"))


@contextlib.contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[Panel]:
    """Run the web server alone, in an environment that names its port, on data that is there."""
    url = f"http://127.0.0.1:{environment['PORT']}"
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"]
    with _process(command, environment, log) as web:
        processes.wait_until_ready(web, lambda: answers(url), name="The panel", log=log, seconds=_UP_WITHIN)
        yield Panel(url, environment, log, web)


@contextlib.contextmanager
def up(
    folder: Path,
    command: Sequence[str] = (sys.executable, "manage.py", "up"),
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator[Up]:
    """Run `manage.py up`, as `make run` does: web, worker, beat and the static files, embedded in `folder`.

    An installed Sluice has a command and an environment of its own, which says where its data is.
    """
    port = {"PORT": str(processes.free_port()), "PYTHONUNBUFFERED": "1"}
    surrounding, log = surroundings(folder) if environment is None else {**environment, **port}, folder / "up.log"
    with _process([*command], surrounding, log, seconds=60, cwd=cwd) as watcher:
        deadline = time.monotonic() + _UP_WITHIN
        while _IS_UP not in (said := log.read_text(errors="replace")):
            if watcher.poll() is not None or time.monotonic() > deadline:
                raise processes.NotReady(
                    f"`up` was not ready within {_UP_WITHIN} s. The end of its log:\n{said[-4000:]}"
                )
            time.sleep(0.1)
        greeted = _GREETING.search(said)
        if greeted is None:
            raise processes.NotReady(f"`up` names no operator:\n{said}")
        url = f"http://127.0.0.1:{surrounding['PORT']}"
        yield Up(url, surrounding, log, watcher, operator=greeted[1], password=greeted[2])


def answers(url: str) -> bool:
    """Tell whether the panel is there."""
    try:
        urllib.request.urlopen(f"{url}/healthz", timeout=2).close()  # noqa: S310 - our own address
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Path, *, seconds: float = 30, cwd: Path = ROOT
) -> Iterator[processes.Server]:
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=cwd,
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
        processes.end(child, signal.SIGTERM, seconds=seconds)
