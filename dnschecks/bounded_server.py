"""A name server whose answers are bounded before they are read: what a zone holds is its owner's choice.

Reading a message of 64 KiB takes seconds of a processor and megabytes, and whoever owns a zone can have thousands of them.
"""

import ipaddress
import socket
import time
from typing import Any

import dns.exception
import dns.message
import dns.nameserver
import dns.query

# Bytes of one answer by TCP, and of all that one check reads: the largest TXT records of well-known domains are some 10 KB.
LONGEST_MESSAGE = 16 * 1024
MOST_BY_TCP = 128 * 1024


class TooLarge(dns.exception.FormError):
    """The answer is not read: it is too long, or those before it were."""

    def __init__(self, message: str) -> None:
        # dnspython 2.9 gives this method no types.
        super().__init__(message)  # type: ignore[no-untyped-call]  # dnspython has no types for it


class Budget:
    """The bytes by TCP that one check may still read, from all of its servers."""

    def __init__(self) -> None:
        self.left = MOST_BY_TCP

    def take(self, size: int) -> None:
        """Count an answer's bytes; raises TooLarge."""
        if size > LONGEST_MESSAGE:
            raise TooLarge(f"the answer has {size:,} bytes, and at most {LONGEST_MESSAGE:,} are read")
        if size > self.left:
            raise TooLarge(f"the answers of this check have more than {MOST_BY_TCP:,} bytes")
        self.left -= size


class BoundedServer(dns.nameserver.Do53Nameserver):
    """A server that is asked by UDP as any other, and by TCP within a budget. Over UDP, it is told what may come at most."""

    def __init__(self, address: str, port: int, budget: Budget) -> None:
        super().__init__(address, port)
        self._budget = budget

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,  # noqa: FBT001 - dnspython's signature
        *rest: Any,
        **more: Any,
    ) -> dns.message.Message:
        """Return the answer to one question; `max_size`: by TCP."""
        if not max_size:
            return super().query(request, timeout, source, source_port, max_size, *rest, **more)
        deadline = time.monotonic() + timeout
        family = socket.AF_INET if ipaddress.ip_address(self.address).version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_left(deadline))
            connection.connect((self.address, self.port))
            connection.sendall(request.to_wire(prepend_length=True))
            size = int.from_bytes(_read(connection, 2, deadline))
            self._budget.take(size)
            response = dns.message.from_wire(_read(connection, size, deadline))
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


def _read(connection: socket.socket, size: int, deadline: float) -> bytes:
    held = bytearray()
    while len(held) < size:
        connection.settimeout(_left(deadline))
        piece = connection.recv(size - len(held))
        if not piece:
            raise EOFError
        held += piece
    return bytes(held)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise dns.exception.Timeout
    return left
