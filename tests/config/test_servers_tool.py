"""The servers of tests go with whoever started them, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.live,
]

ROOT = Path(__file__).resolve().parents[2]
# Prints what it was given, then stays.
USER = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'], flush=True); import time; time.sleep(600)"


def start(*command: str, temporary: Path) -> subprocess.Popen[str]:
    temporary.chmod(0o755)
    surroundings = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [sys.executable, "-m", "tools.servers", *command],
        cwd=ROOT,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def servers_in(temporary: Path) -> list[str]:
    """Return the programs that work in this folder: both servers make theirs the current one."""
    found = []
    for entry in Path("/proc").iterdir():
        # It may end while we look, and another user's is not ours to see.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(temporary):
                found.append((entry / "comm").read_text().strip())
    return found


def wait_until_gone(temporary: Path) -> None:
    deadline = time.monotonic() + 60
    while servers_in(temporary):
        assert time.monotonic() < deadline, servers_in(temporary)
        time.sleep(0.05)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder that the lesser user may pass through, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="sluice-tool-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_they_stop_when_we_are_ended(temporary: Path, number: int) -> None:
    tool = start(sys.executable, "-c", USER, temporary=temporary)
    database, redis = tool.stdout.readline().split()
    assert database.startswith("postgres://sluice:")
    assert redis.startswith("redis://:")
    assert {"postgres", "valkey-server"} <= {name.replace("redis", "valkey") for name in servers_in(temporary)}
    tool.send_signal(number)
    tool.communicate(timeout=60)
    wait_until_gone(temporary)
    if number != signal.SIGKILL:
        assert tool.returncode == 128 + number
        assert list(temporary.iterdir()) == []


def test_the_commands_status_is_ours(temporary: Path) -> None:
    tool = start(sys.executable, "-c", "raise SystemExit(7)", temporary=temporary)
    tool.communicate(timeout=60)
    assert tool.returncode == 7
    wait_until_gone(temporary)
