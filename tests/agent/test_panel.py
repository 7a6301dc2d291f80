"""What the agent sends to the panel, over HTTP."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from agent_panel import Panel

pytestmark = pytest.mark.server

# As many events, and none named "huge": more is too large, said in either of the two ways.
MOST = 3


class Small(BaseHTTPRequestHandler):
    """Takes few events at once."""

    taken: list[list[str]]
    status = 413

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).decode()
        ids = [json.loads(line)["id"] for line in body.splitlines()]
        if len(ids) > MOST or "huge" in ids:
            self.answer(self.status, {"status": "error", "data": {"code": "RequestTooLarge", "message": "Too much"}})
            return
        self.taken.append(ids)
        refused = [
            {"index": index, "code": "bad", "message": "It is bad"} for index, each in enumerate(ids) if "bad" in each
        ]
        self.answer(200, {"status": "success", "data": {"refused": refused}})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(params=[413, 200])
def small(request: pytest.FixtureRequest) -> Iterator[tuple[Panel, list[list[str]]]]:
    taken: list[list[str]] = []
    handler = type("Handler", (Small,), {"taken": taken, "status": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Panel(f"http://127.0.0.1:{server.server_port}", "k" * 32), taken
    server.shutdown()
    server.server_close()


def test_what_is_too_much_for_a_request_is_sent_in_parts(small: tuple[Panel, list[list[str]]]) -> None:
    panel, taken = small
    ids = ["a", "b", "c", "d", "bad-e", "huge", "g", "h", "bad-i"]
    refused = panel.events([json.dumps({"id": each}) for each in ids])
    assert [each for part in taken for each in part] == [each for each in ids if each != "huge"]
    assert [(index, code) for index, code, _ in refused] == [(4, "bad"), (5, "too_large"), (8, "bad")]
    assert "Too much" in refused[1][2]
