"""`make test`: every test on PostgreSQL and Valkey, then those marked `storage` again on SQLite.

Arguments go to pytest both times: `python -m tools.run_tests tests/servers -k race`.
"""

import os
import sys
import tempfile

import pytest

from tools import migrated, servers

EMBEDDED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SLUICE_ENCRYPTION_KEYS", "ALLOWED_HOSTS")
# Plugins of the browser group, where that is installed too: they add three seconds to every process.
SLOW_TO_START = ["-p", "no:playwright", "-p", "no:schemathesis", "-p", "no:base_url"]


def main(arguments: list[str]) -> int:
    """Run both parts, also when the first has failed; the first failure's status is ours."""
    command = [sys.executable, "-m", "pytest", *SLOW_TO_START, *workers(arguments), *arguments]
    surroundings = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    with servers.ended_by_signals(), tempfile.TemporaryDirectory(prefix="sluice-migrated-") as kept:
        surroundings[migrated.FOLDER] = kept
        with servers.running() as environment:
            print("== On PostgreSQL and Valkey", flush=True)
            production = servers.call(command, {**surroundings, **environment})
        with tempfile.TemporaryDirectory(prefix="sluice-embedded-") as folder:
            print("== What depends on the storage, on SQLite", flush=True)
            embedded = servers.call([*command, "-m", "storage"], {**surroundings, "SLUICE_DATA_DIR": folder})
    if embedded == pytest.ExitCode.NO_TESTS_COLLECTED and production != embedded:
        # Only some tests were asked for, and none of them depends on the storage.
        embedded = 0
    return production or embedded


def workers(arguments: list[str]) -> list[str]:
    """Return the number of processes, unless the caller says one: one more than cores, because some wait for servers."""
    if any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        return []
    return ["-n", str(min((os.cpu_count() or 2) + 1, 4))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
