"""The process that stops mail to suppressed recipients, started by the agent.

Like the one for log-ins it outlives the agent for ten minutes (agent_sockets.py). While it is away, mail is taken.
Python 3.9, standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

import agent_sockets
from agent_credentials import Logins
from agent_files import read_json
from agent_milter import SECONDS_BETWEEN_WRITES, Milter, Questions, Stopped
from agent_spool import Spool
from agent_suppressions import Suppressions

LOCK, SOCKETS = "stops.lock", "stop-sockets.json"
# Of the sockets: what Postfix asks, and Haraka's plug-in.
MILTER, QUESTIONS = "sluice-milter", "sluice-suppressions"


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
    """Answer on the sockets that the agent wants, and write what was stopped."""
    lists = Suppressions(os.path.join(state, "suppressions.db"))
    stopped = Stopped(Spool(os.path.join(state, "agent.db")))
    overlay = Overlay(os.path.join(state, "overlay.json"))
    speakers = {
        MILTER: lambda *streams: Milter(lists, overlay.logins, stopped, *streams).serve(),
        QUESTIONS: lambda *streams: Questions(lists, *streams).serve(),
    }
    writing = asyncio.ensure_future(_write(stopped))
    await agent_sockets.listen_on(state, SOCKETS, speakers.__getitem__)
    writing.cancel()
    stopped.write()


async def _write(stopped):
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_WRITES)
        # In a thread: the disk may take its time, and clients wait.
        await asyncio.get_running_loop().run_in_executor(None, stopped.write)


def main(state):
    """Serve, unless another process does."""
    agent_sockets.alone(state, LOCK, serve)
