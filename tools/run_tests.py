"""`make test`: the tests on PostgreSQL and Valkey, then those marked `storage` again on SQLite.

`make live` runs those marked `live`, as `python -m tools.run_tests --live`, and `make test` the others. Arguments go to
pytest both times: `python -m tools.run_tests tests/servers -k race`. With a path among them, whatever is there is run.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tools import migrated, schema, servers
from tools.panel import ROOT

EMBEDDED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SLUICE_ENCRYPTION_KEYS", "ALLOWED_HOSTS")
# Plugins of the browser group, where that is installed too: they add three seconds to every process.
SLOW_TO_START = ["-p", "no:playwright", "-p", "no:schemathesis", "-p", "no:base_url"]
# A database that is migrated, and what tells tests/settings.py of it.
TEMPLATE, TOLD = "sluice_migrated", "SLUICE_TEST_TEMPLATE"


def main(arguments: list[str]) -> int:
    """Run both parts, also when the first has failed; the first failure's status is ours."""
    is_live = "--live" in arguments
    arguments = [each for each in arguments if each != "--live"]
    command = [sys.executable, "-m", "pytest", *SLOW_TO_START, *workers(arguments, is_live=is_live), *arguments]
    of_these = "live" if is_live else "not live"
    live, storage = marked("live"), marked("storage")
    if any(argument.startswith("tests") for argument in arguments):
        of_these, live, storage = "", [], []
    on_sqlite = " and ".join(filter(None, ("storage", of_these)))
    surroundings = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    with servers.ended_by_signals(), tempfile.TemporaryDirectory(prefix="sluice-migrated-") as kept:
        # One that a caller keeps for several runs is used again.
        surroundings.setdefault(migrated.FOLDER, kept)
        with servers.running() as environment:
            print("== On PostgreSQL and Valkey", flush=True)
            places = {**surroundings, **environment}
            told = {**places, TOLD: postgresql_template(places)}
            production = servers.call([*command, "-m", of_these, *(live if is_live else [])], told)
        with tempfile.TemporaryDirectory(prefix="sluice-embedded-") as folder:
            print("== What depends on the storage, on SQLite", flush=True)
            places = {**surroundings, "SLUICE_DATA_DIR": folder}
            told = {**places, TOLD: sqlite_template(places)}
            embedded = servers.call(
                [*command, "-m", on_sqlite, *(each for each in storage if not is_live or each in live)], told
            )
    if embedded == pytest.ExitCode.NO_TESTS_COLLECTED and production != embedded:
        # Only some tests were asked for, and none of them depends on the storage.
        embedded = 0
    return production or embedded


def workers(arguments: list[str], *, is_live: bool) -> list[str]:
    """Return the number of processes, unless the caller says one: more than cores, because some wait for servers."""
    if any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        return []
    return ["-n", str(min((os.cpu_count() or 2) + 1 + is_live, 4))]


def marked(mark: str) -> list[str]:
    """Return the test files with this mark in them, or in what they import of tests/: every process reads all it is given."""
    texts = {path: path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")) if "e2e" not in path.parts}
    word = f"mark.{mark}"
    sharing = {path.stem for path, text in texts.items() if word in text and not path.name.startswith("test_")}
    words = (word, *(f"from tests.{name} import" for name in sharing))
    found = (path for path in texts if path.name.startswith("test_") and any(each in texts[path] for each in words))
    return [str(path.relative_to(ROOT)) for path in found]


def postgresql_template(places: Mapping[str, str]) -> str:
    """Return the name of a database, made here, that is migrated: each process of pytest begins with a copy."""
    url = urlsplit(places["DATABASE_URL"])
    with psycopg.connect(places["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate({**places, "DATABASE_URL": url._replace(path=f"/{TEMPLATE}").geturl()})
    return TEMPLATE


def sqlite_template(places: Mapping[str, str]) -> str:
    """Return the file of a database, made here, that is migrated."""
    apart = {**places, "SLUICE_DATA_DIR": str(Path(places["SLUICE_DATA_DIR"], TEMPLATE))}
    migrate(apart)
    return str(schema.sqlite_file(apart))


def migrate(places: Mapping[str, str]) -> None:
    """Migrate; panels that tests start begin with what became of it, too."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    migrated.migrated(places, lambda: subprocess.run(command, cwd=ROOT, env=dict(places), check=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
