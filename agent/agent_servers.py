"""The processes beside the agent that answer the MTA: about log-ins, and about suppressed recipients.

They outlive an agent that is killed, and the next one finds them by their locks. Python 3.9, standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from agent_files import is_locked, replace

# By the program: its lock, and the file with the sockets that it listens on.
PROGRAMS = {
    "agent_logins.py": ("logins.lock", "sockets.json"),
    "agent_stops.py": ("stops.lock", "stop-sockets.json"),
}


class Servers:
    """What should run, and what this agent started of it."""

    def __init__(self, state):
        self._state = state
        self._wanted, self._children = {}, {}

    def want(self, logins, stops):
        """Tell both which sockets to listen on; one without sockets is not started."""
        self._wanted = dict(zip(PROGRAMS, (logins, stops)))
        for name, sockets in self._wanted.items():
            replace(os.path.join(self._state, PROGRAMS[name][1]), json.dumps(sockets), 0o600)

    def ensure(self):
        """Start what is wanted and does not run."""
        self._children = {name: child for name, child in self._children.items() if child.poll() is None}
        for name, sockets in self._wanted.items():
            is_running = name in self._children or is_locked(os.path.join(self._state, PROGRAMS[name][0]))
            if sockets and not is_running:
                program = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
                self._children[name] = subprocess.Popen(
                    [sys.executable, program, self._state], stdin=subprocess.DEVNULL, start_new_session=True
                )

    def end(self):
        """End those that this agent started."""
        for child in self._children.values():
            child.terminate()
