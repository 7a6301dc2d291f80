"""The process that stops mail to suppressed recipients, started by the agent.

Like the one for log-ins it outlives an agent that is killed, and ends when none has come back for ten minutes. While it is
away, mail is taken. Python 3.9, standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time

from agent_files import read_json
from agent_logins import (
    SECONDS_WITHOUT_AGENT,
    Logins,
    agent_is_there,
    is_ours,
    listen,
    wanted_sockets,
)
from agent_milter import SECONDS_BETWEEN_WRITES, Milter, Questions, Stopped
from agent_spool import Spool
from agent_suppressions import Suppressions

# Of the sockets: what Postfix asks, and Haraka's plug-in.
MILTER, QUESTIONS = "sluice-milter", "sluice-suppressions"
SOCKETS, LOCK = "stop-sockets.json", "stops.lock"


class Overlay:
    """The overlay on disk, which names the servers of clients' networks; read anew when it was replaced."""

    def __init__(self, path):
        self._path, self._seen, self._logins = path, None, Logins({})

    def logins(self):
        """Return what the overlay says."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            stat = os.stat(self._path)
            if (stat.st_ino, stat.st_mtime_ns) != self._seen:
                self._logins = Logins(read_json(self._path) or {})
                self._seen = (stat.st_ino, stat.st_mtime_ns)
        return self._logins


async def serve(state):
    """Listen on the sockets that the agent wants, until no agent has been there for long."""
    lists = Suppressions(os.path.join(state, "suppressions.db"))
    stopped = Stopped(Spool(os.path.join(state, "agent.db")))
    overlay = Overlay(os.path.join(state, "overlay.json"))
    speakers = {
        MILTER: lambda *streams: Milter(lists, overlay.logins, stopped, *streams).serve(),
        QUESTIONS: lambda *streams: Questions(lists, *streams).serve(),
    }
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    writing = asyncio.ensure_future(_write(stopped))
    listening = {}
    seen_at = time.monotonic()
    while not ended.is_set():
        wanted = wanted_sockets(os.path.join(state, SOCKETS))
        for path in list(listening):
            if path not in wanted or not is_ours(path, listening[path][1]):
                listening.pop(path)[0].close()
        for path in wanted:
            if path not in listening:
                with contextlib.suppress(OSError):
                    listening[path] = await listen(speakers[os.path.basename(path)], path)
        if agent_is_there(state):
            seen_at = time.monotonic()
        elif time.monotonic() - seen_at > SECONDS_WITHOUT_AGENT:
            break
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.5)
    writing.cancel()
    stopped.write()


async def _write(stopped):
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_WRITES)
        # In a thread: the disk may take its time, and clients wait.
        await asyncio.get_running_loop().run_in_executor(None, stopped.write)


def main(state):
    """Serve, unless another process does."""
    with open(os.path.join(state, LOCK), "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        asyncio.run(serve(state))


if __name__ == "__main__":
    main(sys.argv[1])
