"""Checks that the migrations since the last release let that release go on: `python -m tools.lint_migrations`.

An upgrade migrates while web processes and workers of the old code run. So a migration may add what the old code does not know;
it may not drop, rename or retype what that reads, nor add what its INSERTs leave out: a column NOT NULL without a default of
the database's own (`db_default`), or a unique constraint. What is dropped goes a release later, when no code knows it.
django-migration-linter reads the SQL of each migration on PostgreSQL; which ones are new, the stored schema of the last release
says (tests/schemas/). A release that CHANGELOG.md calls unreleased is nothing to be compatible with.
"""

import os
import subprocess
import sys
from pathlib import Path

from tools import schema, servers

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = "tools.migration_settings"
# Migrations that the linter would refuse, each with the reason why the old code lives through them all the same.
HARMLESS: dict[str, str] = {}
# What the linter warns of, and what we do not heed: an index on a table that every request writes is built CONCURRENTLY, which
# is reviewed; most tables have some thousand rows.
UNHEEDED = ("CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE", "DROP_INDEX")


def is_published(release: str) -> bool:
    """Return whether code of this release may run somewhere."""
    return f"## {release} (unreleased)" not in (ROOT / "CHANGELOG.md").read_text().splitlines()


def lint(release: str, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Read the migrations that came after a release; the database is empty, and the settings are SETTINGS or such as add to
    them."""
    schema.load(release, environment)
    command = [
        sys.executable,
        "-m",
        "django",
        "lintmigrations",
        "--unapplied-migrations",
        "--no-cache",
        "--quiet",
        "ok",
    ]
    command += ["--exclude-migration-test", *UNHEEDED, *options]
    if HARMLESS:
        command += ["--ignore-name", *HARMLESS]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def main() -> int:
    """Lint by the newest release, on a PostgreSQL of its own."""
    release = schema.releases()[-1]
    if not is_published(release):
        print(f"{release} is not released yet.")
        return 0
    with servers.running() as environment:
        done = lint(release, {**os.environ, **environment, "DJANGO_SETTINGS_MODULE": SETTINGS})
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
