"""Receivers of webhooks on the loopback, each with its own manners."""

import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    head: str
    headers: dict[str, str]
    body: bytes
    at: float


type Answer = Callable[[socket.socket], None]


def answers(status: str = "200 OK", body: bytes = b"ok", **headers: str) -> Answer:
    """Answer so, and close the connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return lambda peer: peer.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def never(peer: socket.socket) -> None:
    """Do not answer for longer than anybody waits."""
    peer.settimeout(60)
    peer.recv(1)


def drips(peer: socket.socket) -> None:
    """Answer a byte at a time, each well within any time-out of a single read."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        peer.sendall(b"x")
        time.sleep(0.1)


def floods(peer: socket.socket) -> None:
    """Answer without end."""
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65536)


class Receiver:
    """Serves until closed, each request in a thread; `got` has the requests in the order in which they came."""

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        most_of_one: int = 1,
    ) -> None:
        self.answer = answer or answers()
        self.got: list[Received] = []
        self.tls = tls
        # Requests that are taken from one connection, and how many connections there were.
        self.most_of_one, self.connections = most_of_one, 0
        # Of what `counting` counts: how many at once, and the most there were.
        self.under_way = self.most = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver.handle(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128
            block_on_close = False

        self.server = Server((host, port), Handler)
        self.port = self.server.server_address[1]
        self.host = host
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    def handle(self, peer: socket.socket) -> None:
        try:
            if self.tls is None:
                self._serve(peer)
            else:
                with self.tls.wrap_socket(peer, server_side=True) as encrypted:
                    self._serve(encrypted)
        except (OSError, ValueError):
            pass

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a call as under way. It ends before the answer: who has that may call again before this thread goes on."""
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            yield
        finally:
            with self._lock:
                self.under_way -= 1

    def _serve(self, peer: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        for _ in range(self.most_of_one):
            received = read(peer)
            with self._lock:
                self.got.append(received)
            self.answer(peer)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read(peer: socket.socket) -> Received:
    """Read one request."""
    content = b""
    while b"\r\n\r\n" not in content:
        if not (more := peer.recv(65536)):
            raise ValueError("no request")
        content += more
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers["Content-Length"]):
        body += peer.recv(65536)
    return Received(first, headers, body, time.monotonic())
