"""The processes beside the agent that answer the MTA: about log-ins, and about suppressed recipients.

They outlive an agent that is stopped or killed, and the next one finds them by their locks. Python 3.9, standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import agent_logins
import agent_stops
from agent_files import is_locked, replace

# By the command of sluice_agent.py: its lock, and the file with the sockets that it listens on.
COMMANDS = {"log-ins": (agent_logins.LOCK, agent_logins.SOCKETS), "stops": (agent_stops.LOCK, agent_stops.SOCKETS)}


def serve(command, state):
    """Be one of them."""
    {"log-ins": agent_logins, "stops": agent_stops}[command].main(state)


class Servers:
    """What should run, and what this agent started of it."""

    def __init__(self, state):
        self._state = state
        self._wanted, self._children = {}, {}

    def want(self, logins, stops):
        """Tell both which sockets to listen on; one without sockets is not started."""
        self._wanted = dict(zip(COMMANDS, (logins, stops)))
        for name, sockets in self._wanted.items():
            replace(os.path.join(self._state, COMMANDS[name][1]), json.dumps(sockets), 0o600)

    def ensure(self):
        """Start what is wanted and does not run."""
        self._children = {name: child for name, child in self._children.items() if child.poll() is None}
        for name, sockets in self._wanted.items():
            is_running = name in self._children or is_locked(os.path.join(self._state, COMMANDS[name][0]))
            if sockets and not is_running:
                self._children[name] = subprocess.Popen(
                    [sys.executable, os.path.abspath(sys.argv[0]), name, self._state],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
