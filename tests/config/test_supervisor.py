"""When one ends, all end; nothing that they started is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import supervisor
from config.supervisor import Supervisor, how_it_ended

# Seconds that what must happen is waited for.
PATIENCE = 60
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    ),
]
# Starts a grandchild, writes its id, and dies at once when asked.
PARENT = [
    sys.executable,
    "-c",
    (
        "import pathlib, subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(600)"
    ),
]


@pytest.fixture
def processes() -> Iterator[Supervisor]:
    running = Supervisor()
    yield running
    running.end()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and (path.stat().st_size or path.name == "ready")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for somebody to ask (Z) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_tells_who_ended_and_ends_the_others(processes: Supervisor) -> None:
    processes.start("web", SLEEP, dict(os.environ))
    processes.start("worker", [sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ))
    assert processes.watch() == "worker"
    assert how_it_ended(processes.children["worker"].returncode) == "ended with status 7"
    processes.end()
    assert processes.children["web"].returncode == -signal.SIGTERM


def test_it_says_which_signal_killed_a_child(processes: Supervisor) -> None:
    processes.start("beat", SLEEP, dict(os.environ))
    processes.children["beat"].kill()
    assert processes.watch() == "beat"
    assert how_it_ended(processes.children["beat"].returncode) == "was killed by SIGKILL"


def test_it_leaves_nothing_that_a_child_started(processes: Supervisor, tmp_path: Path) -> None:
    processes.start("worker", [*PARENT, str(tmp_path / "pid")], dict(os.environ))
    grandchild = int(wait_for(tmp_path / "pid"))
    processes.children["worker"].kill()
    processes.watch()
    assert is_alive(grandchild)
    processes.end()
    deadline = time.monotonic() + PATIENCE
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(grandchild)


def test_it_ends_a_stubborn_child_hard(processes: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.2)
    processes.start("web", [*STUBBORN, str(tmp_path / "ready")], dict(os.environ))
    wait_for(tmp_path / "ready")
    processes.end()
    assert processes.children["web"].returncode == -signal.SIGKILL


def test_it_takes_a_signal_as_the_wish_to_end(processes: Supervisor) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        processes.listen()
        processes.start("web", SLEEP, dict(os.environ))
        os.kill(os.getpid(), signal.SIGINT)
        assert processes.watch() is None
        assert processes.asked == signal.SIGINT
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys, time; from config.supervisor import Supervisor; s = Supervisor(); "
        f"s.start('web', {SLEEP!r}, dict(os.environ)); "
        "pathlib.Path(sys.argv[1]).write_text(str(s.children['web'].pid)); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "pid")])
    child = int(wait_for(tmp_path / "pid"))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + PATIENCE
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)
