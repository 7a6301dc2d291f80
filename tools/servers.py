"""Run a command with a temporary PostgreSQL and Valkey: `python -m tools.servers [--durable] [--apart] COMMAND …`.

With --apart, the statistics have a PostgreSQL of their own (STATS_DATABASE_URL).

The command finds them as production would, in DATABASE_URL and REDIS_URL, with the other variables that production wants.
Both are stopped whatever happens: when the command ends, at Ctrl-C, at SIGTERM, and (on Linux) when this process is killed.
"""

import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from types import FrameType

from tools import postgresql, processes, valkey

OPTIONS = ("--durable", "--apart")
# The folder of the statistics' cluster, in that of the others.
STATS = "stats"


class Interrupted(BaseException):
    """A signal asked the process to end. A BaseException, so that no handler catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that every `finally` runs; a second signal must not break those off."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


@contextlib.contextmanager
def running(*, durable: bool = False, apart: bool = False) -> Iterator[dict[str, str]]:
    """Run the servers; yields the environment of those who use them."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-servers-"))
    try:
        settings = postgresql.DURABLE if durable else postgresql.FAST
        with contextlib.ExitStack() as stack:
            database_url = stack.enter_context(postgresql.running(folder, settings=settings))
            redis_url = stack.enter_context(valkey.running(folder))
            beside = {}
            if apart:
                (folder / STATS).mkdir()
                folder.chmod(0o711)
                stats_url = stack.enter_context(postgresql.running(folder / STATS, settings=settings))
                beside["STATS_DATABASE_URL"] = stats_url
            yield {
                **beside,
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "SECRET_KEY": secrets.token_urlsafe(48),
                "SLUICE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1],testserver",
                "SLUICE_DATA_DIR": str(folder / "var"),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def call(command: list[str], environment: dict[str, str]) -> int:
    """Run a command to its end and return its status; if we are asked to end, so is the command, and we wait for it."""
    child = subprocess.Popen(command, env=environment, preexec_fn=processes.before_exec(None, signal.SIGTERM))
    try:
        return child.wait()
    except Interrupted as interruption:
        # At a terminal Ctrl-C has reached the child too; twice does no harm.
        processes.end(child, interruption.number, seconds=30)
        raise


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn signals into an orderly end with the status a shell would give."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, raise_interrupted)
    try:
        yield
    except Interrupted as interruption:
        sys.exit(128 + interruption.number)
    except processes.NotReady as problem:
        sys.exit(str(problem))


def main(arguments: list[str]) -> int:
    """Run the command; its status is ours."""
    command = list(dropwhile(OPTIONS.__contains__, arguments))
    wanted = arguments[: len(arguments) - len(command)]
    if not command:
        sys.exit(f"Usage: python -m tools.servers {' '.join(f'[{each}]' for each in OPTIONS)} COMMAND …")
    with ended_by_signals(), running(durable="--durable" in wanted, apart="--apart" in wanted) as environment:
        return call(command, {**os.environ, **environment})
    raise AssertionError("unreachable")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
