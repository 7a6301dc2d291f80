"""Another program answers at the panel's address: the agent says so, goes on, and is there when the panel is back."""

import json
import pathlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sluice_agent
from agent_panel import Panel, Refused, Unreachable
from agent_settings import Settings

pytestmark = pytest.mark.server

KEY = "k" * 32
DEEP = "[" * 100_000
ANSWERS = ["[]", "null", '"ok"', "7", "{}", '{"status": "ok"}', "<html>", "", DEEP]
POLICY = {"revision": 7, "node": "mta1", "kind": "powermta", "files": {}, "sources": {}, "overlay": {"number": 1}}


class Odd(BaseHTTPRequestHandler):
    """Answers everything alike."""

    status, body, tag, url = 200, "", "", ""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        if self.tag:
            self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body.encode())

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def odd() -> Iterator[type[Odd]]:
    class Handler(Odd):
        """Of this test alone: what it answers is set on the class."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_port}"
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("body", ANSWERS)
def test_an_answer_of_another_program_is_no_panel(odd: Any, body: str) -> None:
    odd.body = body
    panel = Panel(odd.url, KEY)

    for ask in (panel.policy, lambda: panel.suppressions({})):
        with pytest.raises(Unreachable, match="another program"):
            ask()
    with pytest.raises((Unreachable, Refused)):
        panel.events(["{}"])


@pytest.mark.parametrize("body", ANSWERS)
def test_so_is_its_refusal(odd: Any, body: str) -> None:
    odd.status, odd.body = 403, body

    with pytest.raises(Refused, match="the panel answered 403"):
        Panel(odd.url, KEY).policy()


@pytest.fixture
def agent(odd: Any, tmp_path: pathlib.Path) -> Iterator[Any]:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    state = str(tmp_path / "state")
    found = sluice_agent.Agent(Settings("run", odd.url, str(tmp_path / "key"), state, "", 1, state, ""))
    yield found
    found.spool.close()
    found.suppressions.close()
    found.lock.close()


def test_what_a_proxy_sends_again_and_again_is_not_asked_for_without_a_pause(odd: Any, agent: Any) -> None:
    odd.body, odd.tag = json.dumps(POLICY), ""
    assert agent.pull(0) == sluice_agent.LONGEST_PAUSE

    odd.tag = '"r7-gzip"'
    assert agent.pull(0) == 0
    assert agent.pull(0) == sluice_agent.LONGEST_PAUSE


def test_no_error_ends_a_thread(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that ended would leave an agent that runs, and reports, and no longer applies anything."""
    left = iter([TypeError("unexpected"), AttributeError("unexpected too"), RecursionError("deep")])

    def step() -> None:
        if (error := next(left, None)) is None:
            agent.stopping.set()
            return
        raise error

    agent.stopping.wait = lambda _: None
    agent.repeat(step)

    assert capsys.readouterr().err.count("sluice-agent: ") == 3
