"""A whole Sluice of one's own, as `make run` starts it: web, worker and beat on a free port, in a folder that goes away."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 120
# What would make it somebody else's: the tests' own is embedded.
FOREIGN = (
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SLUICE_ENCRYPTION_KEYS", "ALLOWED_HOSTS", "DEBUG", "PORT",
    "DJANGO_SETTINGS_MODULE",
)  # fmt: skip


@dataclass(frozen=True)
class Server:
    """Where it is, who may do everything there, and how to give it commands."""

    url: str
    folder: str
    operator: str
    password: str

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command of manage.py and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=surroundings(self.folder), input=stdin, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def password_of(self, username: str) -> str:
        """Give somebody a new password and return it."""
        return self.manage("reset_password", username).rpartition(":")[2].strip()


def surroundings(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "SLUICE_DATA_DIR": folder, "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def running(*, demo: bool) -> Iterator[Server]:
    """Start it, and end it with all its children when the block ends."""
    with tempfile.TemporaryDirectory(prefix="sluice-e2e-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        log = Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port)],
                cwd=ROOT,
                env=surroundings(folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            operator, password = _greeting(process, log)
            server = Server(f"http://127.0.0.1:{port}", folder, operator, password)
            if demo:
                server.manage("load_demo")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _greeting(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """Wait until it says that it is ready, and return the operator's name and password, which it says then."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        text = log.read_text()
        if "Press Ctrl-C to stop." in text:
            found = re.search(r"Sign in as (\S+) with the password (\S+)", text)
            assert found, text
            return found[1], found[2]
        assert process.poll() is None, f"Sluice ended:\n{text[-4000:]}"
        time.sleep(0.1)
    raise AssertionError(f"Sluice was not ready within {READY_WITHIN} s:\n{log.read_text()[-4000:]}")
