"""Sending bytes as they are, and reading what comes back, without a client library that would mend them."""

import http.client
import io
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.fuzz.mutate import Request

SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What came back. Status 0: the server hung up without a word, as it may on bytes that are no HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Answered(io.BytesIO):
    """What http.client takes for a socket."""

    def makefile(self, *_: object) -> "_Answered":
        return self


def send(url: str, request: Request) -> Answer:
    """Send one request on a connection of its own."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 80), timeout=SECONDS) as connection:
        try:
            connection.sendall(_bytes(request, place.netloc))
            if request.break_off is not None:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            # The server may refuse before it has read everything; what it said is still to be read.
            pass
        received = _read(connection)
    if not received:
        return Answer(0, {}, b"")
    response = http.client.HTTPResponse(_Answered(received), method=request.method)  # type: ignore[arg-type]
    response.begin()
    try:
        body = response.read()
    except http.client.IncompleteRead as cut:
        body = cut.partial
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _bytes(request: Request, host: str) -> bytes:
    headers = {"Host": host, "Connection": "close", **request.headers}
    if request.is_chunked:
        headers["Transfer-Encoding"] = "chunked"
        pieces = [request.body[start : start + 700] for start in range(0, len(request.body), 700)]
        payload = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        headers["Content-Length"] = str(len(request.body))
        payload = request.body
    head = f"{request.method} {request.target} HTTP/1.1\r\n" + "".join(
        f"{name}: {text}\r\n" for name, text in headers.items()
    )
    return head.encode("latin-1", "replace") + b"\r\n" + payload[: request.break_off]


def _read(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received
