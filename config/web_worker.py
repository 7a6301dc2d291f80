"""gunicorn's threaded worker with buffered clients: no thread, nor the event loop, ever waits for a client.

gunicorn 27's `gthread` reads headers and bodies and writes answers in the thread that answers, without a time limit, so a few
dozen clients that send or read slowly occupy every thread; and its event loop waits up to two seconds for each client whose
connection it closes. Here the event loop, which needs no thread for a client, does all three: a request occupies a thread only
after it has arrived completely, and what the client does not take of the answer at once waits in memory. A request that has not
arrived whole within 60 seconds is ended, and so is an answer of which nothing was taken for as long. What is held is bounded:
beyond the bound the client that was waited for longest is ended. Behind a proxy that buffers, none of this has work to do.

It can go when gunicorn's own threaded worker has time limits for all of these (benoitc/gunicorn#2652).
"""

import errno
import re
import selectors
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, override

from gunicorn import http
from gunicorn.http.errors import ConfigurationProblem, ParseException
from gunicorn.workers import gthread

from config.web_arriving import Arriving, refused
from config.web_client import Connection

# Seconds from the first to the last byte of a request.
ARRIVAL_TIMEOUT = 60
# Seconds in which a client must take something of its answer.
TAKING_TIMEOUT = 60
# Seconds that a request may still take to arrive, or an answer to be taken, when the process is asked to end.
LAST_ARRIVALS = 3
# After the last answer the client may go on sending, so that it reads the answer and no reset of the connection: so many
# seconds after what it sent last, so many altogether, and so many bytes, which are thrown away.
LINGER_BETWEEN, LINGER = 2, 60
MOST_DISCARDED = 16 * 1024 * 1024
# Bytes that all requests on their way to this process may hold, and all answers on their way from it.
MOST_HELD = 128 * 1024 * 1024
MOST_WAITING = 128 * 1024 * 1024
_PIECE = 256 * 1024
# Whether the process lives is asked in a thread of its own: all others may wait for a database, which no restart helps.
_ASKS_WHETHER_IT_LIVES = re.compile(rb"(GET|HEAD) /healthz ")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BufferedWorker(gthread.ThreadWorker):
    """A ThreadWorker whose event loop alone waits for clients: for requests, for taking answers, and for their last bytes."""

    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the order of their deadlines.
        self.arriving: dict[Connection, Arriving] = {}
        self.held = 0
        # Whose client has not taken the whole answer, with the thread's result; longest without progress first.
        self.answered: dict[Connection, Future[Any]] = {}
        self.waiting = 0
        # Those that are closed as soon as the client has read the answer, with the end of their time.
        self.lingering: dict[Connection, float] = {}

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection."""
        try:
            client, address = listener.accept()
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    @override
    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept new connections or not; when asked to end, take those that wait, and close the socket.

        gunicorn keeps it open until the last answer: the kernel goes on connecting clients, whom nobody hears, and who are
        reset at the end. A proxy cannot send their requests anew, but where nobody listens it tries again.
        """
        is_alive = self.alive
        super().set_accept_enabled(enabled and is_alive)
        if is_alive:
            return
        for listener in self.sockets:
            before = -1
            while before < self.nr_conns < self.worker_connections:
                before = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []

    @override
    def init_process(self) -> None:
        self.lively = ThreadPoolExecutor(1)
        super().init_process()

    # --- A request arrives

    def enqueue_req(self, conn: Any) -> None:
        """Read the connection's next request; give it to a thread when it is whole."""
        before = conn.parser.unreader.take_buffered() + conn.sock.take()
        self.arriving[conn] = Arriving(before, deadline=time.monotonic() + ARRIVAL_TIMEOUT)
        self.held += len(before)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_arrival, conn))
        self.on_arrival(conn)

    def on_arrival(self, conn: Connection, _: object = None) -> None:
        """Read arrived bytes without waiting."""
        request = self.arriving.get(conn)
        if request is None:
            # Ended by another connection's event of the same round.
            return
        piece = None
        if not (request.held and request.is_whole()):
            try:
                piece = conn.sock.receive(_PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._end(conn)
                return
            request.held += piece
            self.held += len(piece)
        if request.is_whole() or (piece == b"" and request.held):
            # A client that stops sending in the middle is gunicorn's to judge: reading on finds the end.
            self._forget(conn)
            conn.sock.give(request.held)
            threads = self.lively if _ASKS_WHETHER_IT_LIVES.match(request.held) else self.tpool
            answered = threads.submit(self.handle, conn)
            answered.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))
        elif piece == b"":
            self._end(conn)
        elif request.expects_continue:
            request.expects_continue = False
            conn.sock.say(_CONTINUE)
        while self.held > MOST_HELD and self.arriving:
            self._end(next(iter(self.arriving)), _TIMED_OUT)

    @override
    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Let Django refuse a head that gunicorn cannot read, in the words of its address; gunicorn has a page of its own."""
        if req is not None or not isinstance(exc, ParseException) or isinstance(exc, ConfigurationProblem):
            super().handle_error(req, client, addr, exc)
            return
        client.give(refused(client.given))
        self.handle_request(next(http.get_parser(self.cfg, client, addr)), client.connection)

    # --- An answer is taken

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Wait until the client has taken the answer, where it has not yet."""
        if not conn.sock.waiting:
            self._finish(conn, fs)
            return
        self.answered[conn] = fs
        self.waiting += conn.sock.waiting
        conn.deadline = time.monotonic() + TAKING_TIMEOUT
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self.on_room, conn))
        while self.waiting > MOST_WAITING and self.answered:
            self._end(next(iter(self.answered)))

    def on_room(self, conn: Connection, _: object = None) -> None:
        """Send the client more of its answer."""
        fs = self.answered.get(conn)
        if fs is None:
            return
        before = conn.sock.waiting
        try:
            conn.sock.flush()
        except OSError:
            self._end(conn)
            return
        self.waiting -= before - conn.sock.waiting
        if not conn.sock.waiting:
            self._forget(conn)
            self._finish(conn, fs)
        elif conn.sock.waiting < before and self.alive:
            conn.deadline = time.monotonic() + TAKING_TIMEOUT
            # The order is that of progress.
            self.answered[conn] = self.answered.pop(conn)

    def _finish(self, conn: Connection, fs: Future[Any]) -> None:
        """Wait for the next request, or let the connection end."""
        try:
            is_kept = not fs.cancelled() and bool(fs.result())
        except Exception:
            self._end(conn)
            return
        if not is_kept:
            self._linger(conn)
            return
        if left := conn.sock.take():
            # Of the next request, for gunicorn to see.
            conn.parser.unreader.unread(conn.parser.unreader.take_buffered() + left)
        super().finish_request(conn, fs)

    # --- A connection ends

    def _linger(self, conn: Connection) -> None:
        try:
            conn.sock.end_writing()
        except OSError:
            self._end(conn)
            return
        now = time.monotonic()
        conn.deadline, self.lingering[conn] = now + LINGER_BETWEEN, now + LINGER
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_last, conn))

    def on_last(self, conn: Connection, _: object = None) -> None:
        """Throw away what the client still sends; close at its end."""
        if conn not in self.lingering:
            return
        try:
            piece = conn.sock.receive(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        conn.discarded += len(piece)
        if not piece or conn.discarded > MOST_DISCARDED:
            self._end(conn)
        elif self.alive:
            conn.deadline = min(time.monotonic() + LINGER_BETWEEN, self.lingering[conn])

    def murder_pending(self) -> None:
        """End what has taken too long, and what is idle when the process is asked to end."""
        super().murder_pending()
        now = time.monotonic()
        if not self.alive:
            for request in self.arriving.values():
                request.deadline = min(request.deadline, now + LAST_ARRIVALS) if request.held else now
            for conn in self.answered:
                conn.deadline = min(conn.deadline, now + LAST_ARRIVALS)
        for conn in [conn for conn, request in self.arriving.items() if request.deadline <= now]:
            self._end(conn, _TIMED_OUT if self.arriving[conn].held else b"")
        for conn in [conn for conn in (*self.answered, *self.lingering) if conn.deadline <= now]:
            self._end(conn)
        if self.nr_conns >= self.worker_connections:
            # Nobody else could connect: the client that has had the most time makes way.
            for clients in (self.lingering, self.arriving, self.answered):
                if clients:
                    self._end(next(iter(clients)), _TIMED_OUT if clients is self.arriving else b"")
                    break

    def _end(self, conn: Connection, answer: bytes = b"") -> None:
        self._forget(conn)
        if answer:
            conn.sock.say(answer)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: Connection) -> None:
        """Wait for nothing of this client's any more."""
        if (request := self.arriving.pop(conn, None)) is not None:
            self.held -= len(request.held)
        elif self.answered.pop(conn, None) is not None:
            self.waiting -= conn.sock.waiting
        elif self.lingering.pop(conn, None) is None:
            return
        self.poller.unregister(conn.sock)
