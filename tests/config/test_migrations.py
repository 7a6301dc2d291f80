"""Migrations there and back: from nothing to now, back to nothing, and forward from the schema of each release."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from stats.ledger import storage
from tools import schema

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.live]
ROOT = Path(__file__).parents[2]
# Children of a test that speak to a database of their own.
APPS = (
    "admin",
    "otp_totp",
    "otp_static",
    "sessions",
    "nodes",
    "stats",
    "servers",
    "ippools",
    "throttling",
    "core",
    "auth",
)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an empty database of the kind that this run is about."""
    environment = {**os.environ, "SLUICE_DATA_DIR": str(tmp_path / "var"), "DJANGO_SETTINGS_MODULE": "config.settings"}
    if not os.environ.get("DATABASE_URL"):
        yield environment
        return
    url, name = os.environ["DATABASE_URL"], f"there_and_back_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name}")
        try:
            yield environment | {"DATABASE_URL": urlunsplit(urlsplit(url)._replace(path=f"/{name}"))}
        finally:
            maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.long
def test_from_nothing_and_back_to_nothing(empty: dict[str, str]) -> None:
    manage(empty, "migrate", "-v0")
    there = schema.described(empty)
    assert {"core_auditentry", "stats_event", "servers_server"} <= {line.split()[1] for line in there}
    program = (
        "from django.core.management import call_command\n"
        "from django.apps import apps\n"
        "from django.db.migrations.loader import MigrationLoader\n"
        "from django.db import connection\n"
        "for label in sorted(MigrationLoader(connection).migrated_apps):\n"
        "    call_command('migrate', label, 'zero', verbosity=0)\n"
    )
    manage(empty, "shell", "--no-imports", "-c", program)
    assert schema.described(empty) == schema.EMPTY
    manage(empty, "migrate", "-v0")
    assert schema.described(empty) == there


@pytest.mark.parametrize("release", schema.releases(), ids=str)
def test_forward_from_the_schema_of_a_release(empty: dict[str, str], tmp_path: Path, release: str) -> None:
    manage(empty, "migrate", "-v0")
    fresh = schema.described(empty)
    if storage.is_postgresql():
        with psycopg.connect(empty["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    else:
        for path in (tmp_path / "var").glob("sluice.sqlite3*"):
            path.unlink()
    schema.load(release, empty)
    manage(empty, "migrate", "-v0")
    assert schema.described(empty) == fresh
