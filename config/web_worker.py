"""gunicorn's threaded worker with request buffering: a request occupies a thread only after it has arrived completely.

gunicorn 27's `gthread` reads headers and bodies in the thread that answers, without a time limit, so a few dozen clients that
send slowly occupy every thread. Here the worker's event loop, which needs no thread for a client, reads them first. A request
that has not arrived whole within 60 seconds is ended. What is held is bounded: beyond the bound the request that has been
arriving for the longest time is ended. Behind a proxy that buffers requests all of this has nothing to do.

It can go when gunicorn's own threaded worker has time limits for headers and bodies (benoitc/gunicorn#2652).
"""

import re
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers import gthread

# Seconds from the first to the last byte of a request.
ARRIVAL_TIMEOUT = 60
# Seconds that a request may still take to arrive when the process is asked to end.
LAST_ARRIVALS = 3
# Bytes of a request line and headers. What is longer is cut, so that Django refuses it in the words of its address.
LONGEST_HEAD = 64 * 1024
CUT_TARGET = 40 * 1024
# Bytes of one body that are read ahead: as many as an endpoint takes. A longer one is handed over at once, and refused unread.
LONGEST_BODY = 17 * 1024 * 1024
# Bytes that all requests on their way to this process may hold.
MOST_HELD = 128 * 1024 * 1024
_PIECE = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r\n]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_CRLF, _END_OF_HEAD = b"\r\n", b"\r\n\r\n"


class Arriving:
    """One request while it arrives: its bytes so far, and whether they are all."""

    def __init__(self, held: bytes, *, deadline: float) -> None:
        self.held = bytearray(held)
        self.deadline = deadline
        # The number of bytes of the whole request; None while unknown.
        self.whole: int | None = None
        # Where the next chunk of a chunked body begins; None for other bodies.
        self.chunk_at: int | None = None
        self.expects_continue = False
        self._has_head = False

    def is_whole(self) -> bool:
        """Return whether the request can be processed: it is complete, or it will be refused."""
        if not self._has_head:
            end = self.held.find(_END_OF_HEAD)
            if not 0 <= end <= LONGEST_HEAD:
                if len(self.held) <= LONGEST_HEAD:
                    return False
                self._cut()
                return True
            self._read_head(bytes(self.held[: end + 2]), end + len(_END_OF_HEAD))
        if self.chunk_at is not None and self.whole is None:
            self._read_chunks()
        if self.whole is None:
            return len(self.held) > LONGEST_BODY
        return len(self.held) >= self.whole or self.whole > LONGEST_BODY

    def _read_head(self, head: bytes, body_at: int) -> None:
        self._has_head = True
        if _CHUNKED.search(head):
            self.chunk_at = body_at
        else:
            length = _LENGTH.search(head)
            self.whole = body_at + int(length[1]) if length else body_at
        self.expects_continue = _EXPECTS.search(head) is not None

    def _read_chunks(self) -> None:
        """Step over the chunks that are there. A malformed one ends the request: gunicorn refuses it."""
        while self.chunk_at is not None:
            end = self.held.find(_CRLF, self.chunk_at, self.chunk_at + 1_024)
            if end < 0:
                if len(self.held) - self.chunk_at > 1_024:
                    self.whole = len(self.held)
                return
            try:
                size = int(self.held[self.chunk_at : end].partition(b";")[0], 16)
            except ValueError:
                size = -1
            if size < 0:
                self.whole = len(self.held)
                return
            if size == 0:
                # The last chunk, and trailers up to an empty line.
                last = self.held.find(_END_OF_HEAD, end)
                if last >= 0:
                    self.whole = last + len(_END_OF_HEAD)
                elif len(self.held) - end > LONGEST_HEAD:
                    self.whole = len(self.held)
                return
            if end + 2 + size + 2 > len(self.held):
                return
            self.chunk_at = end + 2 + size + 2

    def _cut(self) -> None:
        """Make a head that is too long one that Django refuses for its length, by the rules of its address."""
        self._has_head = True
        method, _, rest = bytes(self.held[:CUT_TARGET]).split(_CRLF)[0].partition(b" ")
        target = rest.partition(b" ")[0].ljust(CUT_TARGET, b"-")
        self.held[:] = b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (method, target)
        self.whole = len(self.held)


class Source:
    """What gunicorn's parser reads from, in place of the socket: bytes that have arrived, then the socket itself."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held = memoryview(b"")

    def give(self, held: bytes | bytearray) -> None:
        """Put bytes before those that the socket has."""
        self._held = memoryview(bytes(held))

    def take(self) -> bytes:
        """Return and release the unread bytes."""
        left, self._held = bytes(self._held), memoryview(b"")
        return left

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        if not self._held:
            return self._sock.recv(size)
        piece, self._held = bytes(self._held[:size]), self._held[size:]
        return piece

    def gettimeout(self) -> float | None:
        """gunicorn bounds the time in which it reads on after an answer."""
        return self._sock.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        """See `gettimeout`."""
        self._sock.settimeout(seconds)


class BufferedWorker(gthread.ThreadWorker):
    """A ThreadWorker whose `enqueue_req`, which every request passes on the event loop's thread, waits for all of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the order of their deadlines.
        self.arriving: dict[Any, Arriving] = {}
        self.held = 0

    def enqueue_req(self, conn: Any) -> None:
        """Read the connection's next request; give it to a thread when it is whole."""
        if not conn.initialized:
            conn.initialized = conn.data_ready = True
            conn.source = Source(conn.sock)
            conn.parser = http.get_parser(self.cfg, conn.source, conn.client)
        before = conn.parser.unreader.take_buffered() + conn.source.take()
        conn.sock.setblocking(False)  # noqa: FBT003 - the socket's signature
        self.arriving[conn] = Arriving(before, deadline=time.monotonic() + ARRIVAL_TIMEOUT)
        self.held += len(before)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_arrival, conn))
        self.on_arrival(conn, conn.sock)

    def on_arrival(self, conn: Any, client: socket.socket) -> None:
        """Read arrived bytes without waiting."""
        request = self.arriving.get(conn)
        if request is None:
            # Ended by another connection's event of the same round.
            return
        piece = None
        if not (request.held and request.is_whole()):
            try:
                piece = client.recv(_PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._end(conn, b"")
                return
            request.held += piece
            self.held += len(piece)
        if request.is_whole() or (piece == b"" and request.held):
            # A client that stops sending in the middle is gunicorn's to judge: reading on finds the end at once.
            self._hand_over(conn, request)
        elif piece == b"":
            self._end(conn, b"")
        elif request.expects_continue:
            request.expects_continue = False
            self._send(conn, _CONTINUE)
        while self.held > MOST_HELD and self.arriving:
            self._end(next(iter(self.arriving)), _TIMED_OUT)

    def murder_pending(self) -> None:
        """End requests that have not arrived in time, and idle connections."""
        super().murder_pending()
        now = time.monotonic()
        if not self.alive:
            for request in self.arriving.values():
                request.deadline = min(request.deadline, now + LAST_ARRIVALS) if request.held else now
        for conn in [conn for conn, request in self.arriving.items() if request.deadline <= now]:
            self._end(conn, _TIMED_OUT if self.arriving[conn].held else b"")
        if self.nr_conns >= self.worker_connections and self.arriving:
            # Nobody else could connect: the client that has had the most time makes way.
            self._end(next(iter(self.arriving)), _TIMED_OUT)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Let gunicorn see what the client has sent of its next request already."""
        left = conn.source.take()
        if left:
            conn.parser.unreader.unread(conn.parser.unreader.take_buffered() + left)
        super().finish_request(conn, fs)

    def _hand_over(self, conn: Any, request: Arriving) -> None:
        self._forget(conn)
        conn.sock.setblocking(True)  # noqa: FBT003 - the socket's signature
        conn.source.give(request.held)
        super().enqueue_req(conn)

    def _end(self, conn: Any, answer: bytes) -> None:
        self._forget(conn)
        if answer:
            self._send(conn, answer)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: Any) -> None:
        self.held -= len(self.arriving.pop(conn).held)
        self.poller.unregister(conn.sock)

    @staticmethod
    def _send(conn: Any, answer: bytes) -> None:
        """Send some bytes at once, or not at all: a client that does not read is not waited for."""
        try:
            conn.sock.send(answer)
        except OSError:
            return
