"""Two web processes on one socket, as in deploy/systemd, restarted in turn under load, and worker and beat replaced."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.client import Client, wait_until
from tests.faults.installation import Installation
from tests.faults.test_processes import counted
from tests.faults.work import Work
from tools import panel, processes

pytestmark = [pytest.mark.server, pytest.mark.live]

# Seconds that a request may wait while a process of two is away.
SLOWEST = 15


@dataclass
class Shared:
    """What systemd does for sluice-web@1 and sluice-web@2: it holds the socket, hands it on, and is told who is ready."""

    installation: Installation
    listening: socket.socket
    told: socket.socket

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def start(self, name: str) -> processes.Server:
        """Start a process and wait until it says that it answers."""
        # systemd hands the socket on as file 3, and names the process that it is for.
        handed = f'exec 3<&{self.listening.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"]
        environment = {**self.installation.sluice.environment, "WEB_CONCURRENCY": "1"}
        environment["NOTIFY_SOCKET"] = str(self.told.getsockname())
        with (self.installation.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                ["bash", "-c", handed, "bash", *command],
                cwd=panel.ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self.listening.fileno()],
                start_new_session=True,
                preexec_fn=processes.before_exec(None, signal.SIGTERM),
            )
        self.installation.started.callback(processes.end, child, signal.SIGTERM)
        assert self.told.recv(1000) == b"READY=1", self.installation.log_of(name)
        return child

    def restart(self, name: str, old: processes.Server) -> processes.Server:
        """`systemctl restart`: end it, and return the next one when that is ready."""
        old.send_signal(signal.SIGTERM)
        assert old.wait(30) == 0
        return self.start(name)


@pytest.fixture
def shared(whole: Installation, tmp_path: Path) -> Iterator[Shared]:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        told = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        told.bind(str(tmp_path / "notify"))
        told.settimeout(90)
        yield Shared(whole, listening, told)


def restart_under_load(shared: Shared, *, rounds: int) -> None:
    installation, direct, new_beat = shared.installation, shared.installation.client, f"new_beat{rounds}"
    worker, beat = installation.start_worker("old_worker"), installation.start_beat("old_beat")
    pair = {name: shared.start(name) for name in ("web1", "web2")}
    before = counted(installation)
    installation.client = Client(shared.url, direct.key, direct.token)
    try:
        work = Work(installation)
        work.start(callers=2)
        for _ in range(rounds):
            for name, process in pair.items():
                done = len(work.events)
                pair[name] = shared.restart(name, process)
                wait_until(lambda done=done: len(work.events) > done, seconds=60, what="work goes on")
        # The next worker and beat come before the old ones go.
        processes_of_next = [installation.start_worker(f"new_worker{rounds}"), installation.start_beat(new_beat)]
        wait_until(lambda: "beat_stands_by" in installation.log_of(new_beat), seconds=60, what="the new beat waits")
        for old in (worker, beat):
            old.terminate()
            assert old.wait(60) == 0
        wait_until(lambda: "beat_leads" in installation.log_of(new_beat), seconds=60, what="the new beat leads")
        work.stop()
        assert not work.refused, work.refused
        assert not work.unknown_events
        assert work.slowest < SLOWEST
        print(f"{len(work.servers) + len(work.events) // 5} requests, the slowest took {work.slowest:.1f} s")
        work.check()
        expected = before + len(work.events)
        wait_until(lambda: counted(installation) >= expected, seconds=60, what="all is counted")
        assert counted(installation) == expected
    finally:
        installation.client = direct
    for process in (*pair.values(), *processes_of_next):
        assert process.poll() is None
        processes.end(process, signal.SIGTERM)


@pytest.mark.long
def test_no_request_fails(shared: Shared) -> None:
    restart_under_load(shared, rounds=1)


@pytest.mark.long
def test_no_request_fails_however_often(shared: Shared) -> None:
    restart_under_load(shared, rounds=5)
