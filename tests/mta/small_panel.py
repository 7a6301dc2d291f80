"""A panel in a few lines that speaks the node contract, and can be told to fail in the ways that networks do."""

import gzip
import hashlib
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nodes.policy.compiled import Compiled
from tests.mta.namespace import Namespace

KEY = "k" * 32


def document(
    compiled: Compiled, *, revision: int, node: str, kind: str, overlay: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the panel would answer for a compiled policy."""
    return {
        "revision": revision,
        "digest": hashlib.sha256(json.dumps(dict(compiled.files)).encode()).hexdigest(),
        "node": node,
        "kind": kind,
        "files": dict(compiled.files),
        "sources": {
            tag: {"ip": each.ip, "virtual_mta": each.virtual_mta, "rule": each.rule}
            for tag, each in compiled.sources.items()
        },
        "overlay": {
            "number": 1,
            "paused": [],
            "suspended": [],
            "credentials": [],
            "networks": [],
            "caps": [],
            "files": {},
        }
        | (overlay or {}),
        "fidelity": [],
    }


def credential(server: str, password: str, number: int = 1, expires_at: str | None = None) -> dict[str, Any]:
    return {
        "id": number,
        "server": server,
        "sha256": hashlib.sha256(password.encode()).hexdigest(),
        "expires_at": expires_at,
    }


class SmallPanel:
    """Serves one node's policy on the loopback of a namespace, and stores events by (server, id, at)."""

    def __init__(self, inside: Namespace | None = None) -> None:
        self.policy: dict[str, Any] | None = None
        self.reports: list[dict[str, Any]] = []
        self.events: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.repeats = 0
        # What is answered to a node that asks for suppression lists; None: as a panel that has none.
        self.lists: dict[str, Any] | None = None
        # Shares of requests that are answered 503, cut before they are taken, and cut after.
        self.unavailable = self.cut_before = self.cut_after = 0.0
        self._changed = threading.Condition()
        self._random = random.Random(7)
        panel = self

        class Handler(_Handler):
            owner = panel

        def listen() -> ThreadingHTTPServer:
            return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

        self._server = inside.inside(listen) if inside else listen()
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def publish(self, policy: dict[str, Any]) -> None:
        with self._changed:
            self.policy = policy
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    # What the handler asks.

    def etag(self) -> str:
        text = json.dumps(self.policy, sort_keys=True).encode()
        return f'"r{self.policy["revision"]}-{hashlib.sha256(text).hexdigest()[:16]}"' if self.policy else ""

    def wait(self, etag: str | None, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while self.policy and self.etag() == etag and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
            return None if self.policy and self.etag() == etag else self.policy

    def take(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        accepted = duplicates = 0
        for event in events:
            key = event["server"], event["id"], event["at"]
            duplicates += key in self.events
            accepted += key not in self.events
            self.events.setdefault(key, event)
        self.repeats += duplicates
        return {"accepted": accepted, "duplicates": duplicates, "refused": []}

    def changed_lists(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the lists, or what says that the node has them."""
        assert self.lists is not None
        lists = [
            each
            for each in self.lists["lists"]
            if asked["have"].get(each["organization"]) != {"number": each["number"], "whole": True}
        ]
        return {**self.lists, "lists": lists}

    def fails(self) -> str | None:
        drawn = self._random.random()
        for name in ("unavailable", "cut_before", "cut_after"):
            if drawn < (share := getattr(self, name)):
                return name
            drawn -= share
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: SmallPanel
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_allowed():
            return None
        path, _, query = self.path.partition("?")
        assert path == "/api/node/v1/policy", self.path
        wait = float(dict(part.split("=") for part in query.split("&") if part).get("wait", 0))
        etag = self.headers.get("If-None-Match")
        if self.owner.policy is None:
            return self._answer(404, {"error": {"code": "no_revision", "message": "No revision is published yet"}})
        found = self.owner.wait(etag, wait)
        if found is None:
            return self._answer(304, None)
        return self._answer(200, found, {"ETag": self.owner.etag()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_allowed():
            return None
        failure = self.owner.fails()
        if failure == "unavailable":
            return self._answer(503, {"error": {"code": "unavailable", "message": "later"}})
        if failure == "cut_before":
            self.close_connection = True
            return None
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/api/node/v1/report":
            self.owner.reports.append(json.loads(body))
            answer: dict[str, Any] = {"revision": self.owner.policy and self.owner.policy["revision"], "overlay": 1}
        elif self.path == "/api/node/v1/suppressions":
            if self.owner.lists is None:
                return self._answer(404, {"error": {"code": "no_revision", "message": "No revision is published yet"}})
            answer = self.owner.changed_lists(json.loads(body))
        else:
            assert self.path == "/api/v1/events", self.path
            events = [json.loads(line) for line in body.decode().split("\n") if line]
            answer = {"status": "success", "time": 0.0, "flags": {}, "data": self.owner.take(events)}
        if failure == "cut_after":
            self.close_connection = True
            return None
        return self._answer(200, answer)

    def _is_allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self._answer(401, {"error": {"code": "invalid_key", "message": "The key is not valid"}})
        return False

    def _answer(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
