"""The short form of `make faults`: some kills on the database that this run is about."""

import random
import subprocess
import sys

import pytest

from stats.ledger import storage
from tests.stats.faults import servers

# Not of the database under test: a cluster of its own, with fsync, or a file of its own.
pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.live]


def test_killed_processes_lose_and_double_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = "postgresql" if storage.is_postgresql() else "sqlite"
    seed = str(random.SystemRandom().randrange(10**6))
    command = [
        sys.executable,
        "-m",
        "tests.stats.faults",
        "--engine",
        engine,
        "--kills",
        "5",
        "--stops",
        "1",
        "--seed",
        seed,
    ]
    environment = servers.surroundings(tmp_path_factory.mktemp("faults"))
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-5000:]
    assert "every count equals the recount, and the audit is empty" in result.stdout
