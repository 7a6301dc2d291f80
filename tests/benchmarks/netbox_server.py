"""An installed NetBox on our PostgreSQL and Valkey: its configuration, its rows, and its web server with one worker."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tools import processes

# What NetBox's own gunicorn.py has; so has the time that a connection to the database is kept, below.
THREADS = 3
_DATABASE = "sluice_benchmark_netbox_itself"
_CONFIGURATION = """\
ALLOWED_HOSTS = ["localhost"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 300, **{database!r}}}}}
REDIS = {{name: {{**{redis!r}, "DATABASE": number}} for name, number in (("tasks", 2), ("caching", 3))}}
SECRET_KEY = {secret!r}
API_TOKEN_PEPPERS = {{1: {pepper!r}}}
# It asks nobody outside for newer releases, and tells nobody of itself.
CENSUS_REPORTING_ENABLED, ISOLATED_DEPLOYMENT = False, True
"""


@dataclass(frozen=True)
class Installed:
    """A NetBox on this machine, with a database that is migrated and filled: what a client of it needs to know."""

    code: Path
    python: str
    environment: dict[str, str]
    address_id: int
    tenant_id: int
    authorization: str
    cookie: str


def installed(netbox: Path, folder: Path) -> Installed:
    """Configure the NetBox in its folder for an empty database of ours, and fill that; the configuration is in `folder`."""
    code, python = netbox / "netbox", str(netbox / "venv" / "bin" / "python")
    environment = {**_without_ours(os.environ), **_configured(folder), "DJANGO_SETTINGS_MODULE": "netbox.settings"}
    _done([python, "manage.py", "migrate", "--verbosity", "0"], code, environment)
    # In NetBox's folder, whose packages have names that ours have, too.
    found = _done([python, "-c", Path(__file__).with_name("netbox_data.py").read_text()], code, environment)
    return Installed(code, python, environment, **json.loads(found.splitlines()[-1]))


@contextmanager
def serving(netbox: Installed, log: Path) -> Iterator[tuple[int, processes.Server]]:
    """Run NetBox's web server with one worker; yields its port and its first process."""
    port = processes.free_port()
    command = [
        netbox.python, "-m", "gunicorn", "--workers", "1", "--threads", str(THREADS), "--timeout", "120",
        "--bind", f"127.0.0.1:{port}", "netbox.wsgi",
    ]  # fmt: skip
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=netbox.code,
            env=netbox.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=processes.before_exec(None, signal.SIGTERM),
        )
    try:
        processes.wait_until_ready(server, lambda: processes.answers(port), name="NetBox", log=log, seconds=120)
        yield port, server
    finally:
        processes.end(server, signal.SIGTERM)


def _done(command: list[str], code: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=code, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def _without_ours(environment: os._Environ[str]) -> dict[str, str]:
    ours = ("PYTHONPATH", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "PORT", "PROMETHEUS_MULTIPROC_DIR")
    return {name: value for name, value in environment.items() if name not in ours and not name.startswith("SLUICE_")}


def _configured(folder: Path) -> dict[str, str]:
    """Write NetBox's configuration for an empty database of the server in DATABASE_URL; return what makes NetBox read it."""
    database, redis = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{_DATABASE}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{_DATABASE}"')
    text = _CONFIGURATION.format(
        database={"NAME": _DATABASE, "USER": database.username, "PASSWORD": database.password, "HOST": database.hostname,
                  "PORT": database.port},
        redis={"HOST": redis.hostname, "PORT": redis.port, "USERNAME": "", "PASSWORD": redis.password, "SSL": False},
        secret=secrets.token_urlsafe(60), pepper=secrets.token_urlsafe(60),
    )  # fmt: skip
    (folder / "netbox_configuration.py").write_text(text)
    return {"PYTHONPATH": str(folder), "NETBOX_CONFIGURATION": "netbox_configuration"}
