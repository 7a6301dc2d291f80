"""Starts and stops temporary servers, so that none outlives the command that started it."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1

type Server = subprocess.Popen[bytes]


class NotReady(Exception):
    """A server ended, or did not answer in time; the message holds the end of its log."""


def free_port() -> int:
    """Return a port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lesser_user() -> pwd.struct_passwd | None:
    """Return the user to become where we are root, which PostgreSQL refuses to run as; otherwise None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    sys.exit("PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody`.")


def before_exec(user: pwd.struct_passwd | None, last_signal: int) -> Callable[[], None]:
    """Return what the child does before it becomes the server: change user, and ask to be ended when we die.

    Killed hard, we run no `finally`; then the kernel (Linux) sends the child `last_signal`. It must be asked for after the
    change of user, which clears it.
    """

    def prepare() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, last_signal)

    return prepare


def start(command: list[str], *, log: Path, user: pwd.struct_passwd | None, last_signal: int) -> Server:
    """Start a server in a session of its own: Ctrl-C reaches us, and we end it after those that use it."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before_exec(user, last_signal),
            # Not in our folder, which the lesser user may not enter.
            cwd="/",
        )


def wait_until_ready(
    server: Server, is_ready: Callable[[], bool], *, name: str, log: Path, seconds: float = 60
) -> None:
    """Return as soon as the server answers."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            how = "did not answer" if server.returncode is None else f"ended with status {server.returncode}"
            raise NotReady(f"{name} {how}. The end of its log:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def end(server: Server, how: int, *, seconds: float = 20) -> None:
    """End the server politely, then hard."""
    if server.poll() is None:
        server.send_signal(how)
        try:
            server.wait(seconds)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGKILL)
            server.wait()


def answers(port: int) -> bool:
    """Tell whether something accepts connections on this port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
