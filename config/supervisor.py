"""Runs several processes under one command: when one of them ends, or on a signal, all are stopped."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

PR_SET_PDEATHSIG = 1
# Tells gunicorn that the one who started it runs the system checks.
IS_CHECKED = "SLUICE_IS_CHECKED"
# Seconds that a process has for an orderly end: gunicorn lets requests finish for twenty.
GRACE = 25
POLL = 0.1


def end_with_parent() -> None:
    """Ask the kernel (Linux) to end this child if the parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Supervisor:
    """The processes, by their displayed names."""

    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    asked: int | None = None

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Start a process in its own session: Ctrl-C at the terminal reaches only the supervisor, which ends them in order."""
        self.children[name] = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def listen(self) -> None:
        """Handle Ctrl-C and SIGTERM as requests to end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = number

    def ended(self) -> str | None:
        """Return the name of a child that has ended, or None."""
        return next((name for name, child in self.children.items() if child.poll() is not None), None)

    def watch(self, until: Callable[[], bool] = lambda: False) -> str | None:
        """Wait until a process ends and return its name; None on a request to end, or when `until` is true."""
        while self.asked is None:
            if (name := self.ended()) is not None:
                return name
            if until():
                return None
            time.sleep(POLL)
        return None

    def end(self) -> None:
        """End all, in the order they were started, politely and then hard; nothing that they started is left either."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + GRACE
        for child in self.children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            self._sweep(child)

    @staticmethod
    def _sweep(child: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the child's process group."""
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        child.wait()


def how_it_ended(status: int) -> str:
    """Return a child's exit status as text."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
