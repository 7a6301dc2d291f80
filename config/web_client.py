"""The connection to a client as gunicorn's threads see it: reading and writing never wait."""

import socket
from typing import Any, BinaryIO

from gunicorn import http
from gunicorn.workers import gthread

# Bytes of an answer that are offered to the kernel at once.
_PIECE = 256 * 1024


class ClientSocket:
    """What gunicorn has for a client's socket.

    Its thread reads the bytes that have arrived, and then the end of the stream; what it writes and the client does not take at
    once waits here. The methods that gunicorn calls come first; the others are for the worker's event loop, which alone waits
    for the client, and alone closes the connection.
    """

    def __init__(self, real: socket.socket) -> None:
        real.setblocking(False)  # noqa: FBT003 - the socket's signature
        self._real = real
        self._held = memoryview(b"")
        self._waiting = bytearray()
        # What the thread was given last, and whose it is.
        self.given = b""
        self.connection: Any = None

    def recv(self, size: int) -> bytes:
        """Return at most `size` of the bytes that have arrived; empty after the last."""
        piece, self._held = bytes(self._held[:size]), self._held[size:]
        return piece

    def sendall(self, data: bytes) -> None:
        """Send what the client takes now, and keep the rest; raises OSError where the client is gone."""
        self.flush()
        view = memoryview(data)
        sent = 0 if self._waiting else self._send(view)
        self._waiting += view[sent:]

    def send(self, data: bytes) -> int:
        """Send all of it; gunicorn says "100 Continue" so."""
        self.sendall(data)
        return len(data)

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> None:
        """Send a part of a file as `sendall` does."""
        file.seek(offset)
        self.sendall(file.read(-1 if count is None else count))

    def fileno(self) -> int:
        """Return the number of the real socket, for the event loop's poller."""
        return self._real.fileno()

    def gettimeout(self) -> float:
        """Return what a socket that never waits does."""
        return 0.0

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing: nothing waits."""

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - a socket's signature
        """Do nothing: nothing waits."""

    def shutdown(self, how: int) -> None:
        """Do nothing: the event loop ends the connection."""

    def close(self) -> None:
        """Do nothing: the event loop ends the connection."""

    @property
    def waiting(self) -> int:
        """The number of bytes that the client has not taken."""
        return len(self._waiting)

    def give(self, held: bytes | bytearray) -> None:
        """Set the bytes that the thread reads."""
        self.given = bytes(held)
        self._held = memoryview(self.given)

    def take(self) -> bytes:
        """Return and release the unread bytes."""
        left, self._held, self.given = bytes(self._held), memoryview(b""), b""
        return left

    def receive(self, size: int) -> bytes:
        """Return bytes that have come; raises BlockingIOError where none have, and OSError where the client is gone."""
        return self._real.recv(size)

    def flush(self) -> None:
        """Send of what waits as much as the client takes; raises OSError where the client is gone."""
        if self._waiting:
            sent = self._send(memoryview(bytes(self._waiting[:_PIECE])))
            del self._waiting[:sent]

    def say(self, answer: bytes) -> None:
        """Send some bytes at once, or not at all."""
        try:
            self._real.send(answer)
        except OSError:
            return

    def end_writing(self) -> None:
        """Tell the client that nothing follows; raises OSError where it is gone."""
        self._real.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Close the connection."""
        self._waiting.clear()
        self._real.close()

    def _send(self, view: memoryview) -> int:
        sent = 0
        while sent < len(view):
            try:
                sent += self._real.send(view[sent:])
            except (BlockingIOError, InterruptedError):
                break
        return sent


class Connection(gthread.TConn):
    """A connection with a ClientSocket, and what the event loop knows of it."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket(sock), client, server)
        # There is nothing that a thread would have to wait for.
        self.initialized = self.data_ready = True
        self.sock.connection = self
        self.parser = http.get_parser(cfg, self.sock, client)
        # Until when the client may take an answer, or send what nobody reads.
        self.deadline = 0.0
        # How many bytes of it were thrown away.
        self.discarded = 0

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - gunicorn's signature
        """Close it at once, by the event loop: gunicorn's own would wait there for the client, up to two seconds."""
        self.sock.end()
