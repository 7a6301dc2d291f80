"""The processes beside the agent: one of a kind, and a new one where the program was replaced."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import agent_sockets
import pytest
import sluice_agent
from agent_files import is_locked
from agent_settings import Settings

from nodes.agent_file import export_agent
from tests.agent.conftest import AGENT

pytestmark = pytest.mark.server


@contextlib.contextmanager
def an_agent(state: pathlib.Path) -> Iterator[None]:
    """Be an agent, as far as the other processes can see."""
    with open(state / "agent.lock", "a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class Program:
    """One that is started beside the agent, from a file that can be replaced."""

    file: pathlib.Path
    command: str
    state: pathlib.Path
    lock: str

    @property
    def socket(self) -> pathlib.Path:
        return self.state / "sluice-milter"

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        child = subprocess.Popen([sys.executable, str(self.file), self.command, str(self.state)])
        try:
            yield child
        finally:
            child.kill()
            child.wait()


PROGRAMS = [("log-ins", "logins.lock", "sockets.json"), ("stops", "stops.lock", "stop-sockets.json")]


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Program:
    command, lock, wanted = request.param
    state = tmp_path / "state"
    state.mkdir()
    found = Program(export_agent(tmp_path / "exported")[0], command, state, str(state / lock))
    (state / wanted).write_text(json.dumps([str(found.socket)]))
    return found


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_one_ends_at_once(program: Program) -> None:
    with an_agent(program.state), program.started():
        until(lambda: is_locked(program.lock))
        with program.started() as second:
            assert second.wait(60) == 0
        until(program.socket.exists)


def test_it_ends_where_its_program_was_replaced_and_an_agent_can_start_the_new_one(program: Program) -> None:
    with program.started() as child:
        with an_agent(program.state):
            until(program.socket.exists)
        time.sleep(0.7)
        os.utime(program.file, (1, 1))
        # No agent is there: log-ins go on.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.5)
        with an_agent(program.state):
            assert child.wait(60) == 0


def test_an_agent_waits_until_log_ins_are_answered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reboot the socket's file is there, and nobody listens."""
    monkeypatch.setattr(sys, "argv", [str(AGENT / "sluice_agent.py")])
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "key").chmod(0o600)
    path = tmp_path / "sluice-auth"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    agent = sluice_agent.Agent(
        Settings("run", "http://127.0.0.1:1", str(tmp_path / "key"), str(tmp_path / "state"), "", 1, str(tmp_path), "")
    )
    agent.driver = SimpleNamespace(sockets=lambda document: [str(path)], stop_sockets=lambda sockets: [])
    try:
        agent.publish_credentials(agent.driver, {"overlay": {}})
        assert agent_sockets.answers(str(path))
    finally:
        for child in agent.servers._children.values():
            child.kill()
            child.wait()
        agent.spool.close()
        agent.suppressions.close()
        agent.lock.close()
