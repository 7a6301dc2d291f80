"""A web server as production runs it, and a client that costs next to nothing."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import panel, processes


class Client:
    """One connection that is kept open; requests are bytes made once, answers are read and only looked at for their length."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def get(self, path: str, key: str = "") -> tuple[bytes, bytes]:
        """Make one request; return the status line and the body."""
        header = f"X-Server-API-Key: {key}\r\n" if key else ""
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode()
        try:
            return self._exchange(request)
        except ConnectionError:
            # The server makes way for a fresh worker now and then.
            self.socket = self._connect()
            return self._exchange(request)

    def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._receive()
        return head.partition(b"\r\n")[0], body

    def _receive(self) -> bytes:
        received = self.socket.recv(1 << 20)
        if not received:
            raise ConnectionResetError
        return received


@contextmanager
def serving(settings: str) -> Iterator[Client]:
    """Run the web server with one worker process under a settings module, and yield a client of it."""
    own = {"DJANGO_SETTINGS_MODULE": settings, "PORT": str(processes.free_port()), "WEB_CONCURRENCY": "1"}
    with (
        tempfile.TemporaryDirectory(prefix="sluice-benchmark-") as folder,
        panel.serving({**os.environ, **own}, Path(folder) / "web.log") as sluice,
    ):
        client = Client(sluice.port)
        yield client
        client.socket.close()
