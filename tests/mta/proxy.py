"""A proxy before a real panel that fails as networks do: 503, cut before a request arrives, cut after it was answered."""

import contextlib
import gzip
import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.mta.namespace import Namespace

LONGEST_WAIT = 90
PASSED_ON = ("Authorization", "Content-Type", "Content-Encoding", "If-None-Match")
PASSED_BACK = ("Content-Type", "ETag", "Retry-After")


class FailingProxy:
    """Listens in a namespace, and passes on to a panel outside; `shares` of the requests fail."""

    def __init__(self, inside: Namespace, url: str) -> None:
        self.panel = urlsplit(url)
        self.shares = {"unavailable": 0.0, "cut before": 0.0, "cut after": 0.0}
        self.failures: Counter[str] = Counter()
        # Events that the panel had already.
        self.repeats = 0
        self._random = random.Random(7)
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = inside.inside(lambda: ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def failure(self) -> str | None:
        """Draw what goes wrong with a request; None: nothing."""
        drawn = self._random.random()
        for name, share in self.shares.items():
            if drawn < share:
                self.failures[name] += 1
                return name
            drawn -= share
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def failing_proxy(inside: Namespace, url: str) -> Iterator[FailingProxy]:
    found = FailingProxy(inside, url)
    try:
        yield found
    finally:
        found.close()


class _Handler(BaseHTTPRequestHandler):
    owner: FailingProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass_on(self, body: bytes | None) -> None:
        failure = self.owner.failure()
        if failure == "unavailable":
            return self._answer(503, b"", {})
        if failure == "cut before":
            self.close_connection = True
            return None
        headers = {name: self.headers[name] for name in PASSED_ON if self.headers[name]}
        connection = http.client.HTTPConnection(
            self.owner.panel.hostname or "", self.owner.panel.port, timeout=LONGEST_WAIT
        )
        with contextlib.closing(connection):
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
            except OSError:
                # The panel is away.
                return self._answer(502, b"", {})
        if self.path == "/api/v1/events":
            self.owner.repeats += int(_json(answer, said).get("data", {}).get("duplicates", 0))
        if failure == "cut after":
            self.close_connection = True
            return None
        return self._answer(
            answer.status, said, {name: value for name in PASSED_BACK if (value := answer.getheader(name))}
        )

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        # The agent may have been killed meanwhile.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _json(answer: http.client.HTTPResponse, said: bytes) -> dict[str, dict[str, int]]:
    text = gzip.decompress(said) if answer.getheader("Content-Encoding") == "gzip" else said
    found = json.loads(text or b"{}")
    return found if isinstance(found, dict) and isinstance(found.get("data", {}), dict) else {}
