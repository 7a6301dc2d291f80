"""Calls of a webhook: HTTP requests, each within one time limit, to an address that was checked, and to no other."""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from servers.webhook_urls import BadURL, CallURL, parse
from webhooks.addresses import Address, NotAllowed, check
from webhooks.resolving import Unresolved

# Seconds for everything: the name's addresses, the connection, TLS, the request and the answer.
TIMEOUT = 5.0
# Bytes of an answer that are read, and how much may come before and with them: its status line and headers.
MOST_READ = 64 * 1024
_MOST_RECEIVED = MOST_READ + 32 * 1024
# Characters of an answer that are kept, and of the reason why there is none.
MOST_KEPT = 1_000
MOST_ERROR = 300
# Addresses of a name that are tried, each with its share of the time.
_MOST_ADDRESSES = 3

type Resolve = Callable[[str, float], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: the answer's status and its beginning, or why there is none."""

    status: int | None
    answer: str = ""
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it: any 2xx. A redirect is not followed, and takes nothing."""
        return self.status is not None and 200 <= self.status < 300


def call(url: str, *, body: bytes, headers: Mapping[str, str], resolve: Resolve, timeout: float = TIMEOUT) -> Outcome:
    """Send the body by POST over a connection of its own; see `Caller.call`."""
    with Caller(url, resolve) as caller:
        return caller.call(body=body, headers=headers, timeout=timeout)


class Caller:
    """Makes calls of one URL, one after the other, over one connection while the receiver keeps it open. For one thread.

    Each call asks for the host's addresses and checks them, and a connection to another address is not used again.
    """

    def __init__(self, url: str, resolve: Resolve) -> None:
        """`resolve` returns the addresses of a name within so many seconds."""
        self._url, self._resolve = url, resolve
        self._open: _Open | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._open is not None:
            self._open.socket.close()
            self._open = None

    def call(self, *, body: bytes, headers: Mapping[str, str], timeout: float = TIMEOUT) -> Outcome:
        """Send the body by POST and return what came of it; never raises for what the receiver, its network or DNS does."""
        deadline = Deadline(timeout)
        try:
            where = parse(self._url)
            return self._exchange(where, self._addresses(where, deadline), _request(where, body, headers), deadline)
        except BadURL as problem:
            return _failed(f"The URL {problem}")
        except (NotAllowed, Unresolved) as problem:
            return _failed(str(problem))
        except TimeoutError:
            return _failed(f"There was no complete answer within {timeout:g} seconds")
        except ssl.SSLCertVerificationError as problem:
            return _failed(f"The certificate was refused: {problem.verify_message}")
        except (http.client.HTTPException, OSError, ValueError) as problem:
            return _failed(_words(problem))

    def _addresses(self, where: CallURL, deadline: "Deadline") -> list[Address]:
        if where.is_address:
            return check([where.host])
        try:
            return check(self._resolve(where.host, deadline.remaining()))
        except NotAllowed:
            # Which one is not said: the name may be of the platform's own network, and its owner is not who chose the URL.
            raise NotAllowed(f"{where.host} has an address that is not public") from None

    def _exchange(self, where: CallURL, addresses: list[Address], request: bytes, deadline: "Deadline") -> Outcome:
        kept, self._open = self._open, None
        if kept is not None:
            if kept.address in addresses and not _has_input(kept.socket):
                try:
                    return self._send(kept, request, deadline)
                except (ConnectionError, http.client.RemoteDisconnected):
                    # The receiver closed it while the request was on its way. A delivery may come twice.
                    pass
            kept.socket.close()
        return self._send(_connect(where, addresses, deadline), request, deadline)

    def _send(self, to: "_Open", request: bytes, deadline: "Deadline") -> Outcome:
        """Send a request and read the answer; the connection is kept where both sides may go on with it."""
        try:
            timed = _TimedSocket(to.socket, deadline)
            timed.sendall(request)
            # `sock` is asked for its file and for nothing else.
            with http.client.HTTPResponse(cast(socket.socket, timed), method="POST") as response:
                response.begin()
                outcome = Outcome(response.status, _shown(response.read(MOST_READ)))
                if outcome.is_success and response.isclosed() and not response.will_close:
                    self._open = to
            return outcome
        finally:
            if self._open is not to:
                to.socket.close()


class Deadline:
    """The end of the time that something may take altogether."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left; raises TimeoutError where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(frozen=True, slots=True)
class _Open:
    """A connection, and the address that it was made to."""

    socket: socket.socket
    address: Address


def _request(where: CallURL, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a whole request, so that it leaves in one piece."""
    host = f"[{where.host}]" if ":" in where.host else where.host
    if where.port != (443 if where.is_secure else 80):
        host += f":{where.port}"
    fields = {"Host": host, "Accept-Encoding": "identity", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {where.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("A header has a line break")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _has_input(plain: socket.socket) -> bool:
    """Return whether the receiver has closed the connection, or says something that nobody asked for."""
    waiting = select.poll()
    waiting.register(plain, select.POLLIN)
    return bool(waiting.poll(0))


def _connect(where: CallURL, addresses: list[Address], deadline: Deadline) -> _Open:
    plain, address = _connect_to_one(addresses, where.port, deadline)
    if not where.is_secure:
        return _Open(plain, address)
    try:
        plain.settimeout(deadline.remaining())
        return _Open(_tls().wrap_socket(plain, server_hostname=where.host), address)
    except BaseException:
        plain.close()
        raise


def _connect_to_one(addresses: list[Address], port: int, deadline: Deadline) -> tuple[socket.socket, Address]:
    tried = addresses[:_MOST_ADDRESSES]
    for number, address in enumerate(tried):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(deadline.remaining() / (len(tried) - number))
            plain.connect((str(address), port))
        except OSError:
            plain.close()
            if number == len(tried) - 1:
                raise
        except BaseException:
            plain.close()
            raise
        else:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain, address
    raise Unresolved("The name has no addresses")


class _TimedSocket:
    """As much of a socket as a call uses, each operation of which ends by the deadline."""

    def __init__(self, wrapped: socket.socket, deadline: Deadline) -> None:
        self._wrapped, self._deadline = wrapped, deadline

    def sendall(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            self._wrapped.settimeout(self._deadline.remaining())
            view = view[self._wrapped.send(view) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._wrapped, self._deadline))


class _TimedReader(io.RawIOBase):
    """What a socket receives until the deadline, and up to a number of bytes."""

    def __init__(self, wrapped: socket.socket, deadline: Deadline) -> None:
        self._wrapped, self._deadline, self._received = wrapped, deadline, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._received >= _MOST_RECEIVED:
            raise http.client.HTTPException("The answer is too long")
        self._wrapped.settimeout(self._deadline.remaining())
        number = self._wrapped.recv_into(buffer, min(len(buffer), _MOST_RECEIVED - self._received))
        self._received += number
        return number


_context: ssl.SSLContext | None = None


def _tls() -> ssl.SSLContext:
    # Made once: reading the system's certificates takes longer than a call.
    global _context
    if _context is None:
        _context = ssl.create_default_context()
        _context.minimum_version = ssl.TLSVersion.TLSv1_2
    return _context


def _shown(content: bytes) -> str:
    """Return the beginning of an answer as text that any database stores."""
    text = content[: 4 * MOST_KEPT].decode("utf-8", "replace")[:MOST_KEPT]
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _failed(error: str) -> Outcome:
    return Outcome(None, error=_shown(error.encode("utf-8", "replace"))[:MOST_ERROR])


def _words(problem: Exception) -> str:
    if isinstance(problem, ConnectionRefusedError):
        return "The connection was refused"
    if isinstance(problem, http.client.RemoteDisconnected):
        return "The connection was closed without an answer"
    if isinstance(problem, http.client.HTTPException):
        # Without its own text, which may repeat what the receiver was sent.
        return f"The answer is not HTTP ({type(problem).__name__})"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem) or type(problem).__name__
