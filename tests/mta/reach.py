"""One port of this machine, for programs in a network namespace that has nothing else."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.mta.namespace import Namespace


@contextlib.contextmanager
def reachable(inside: Namespace, url: str) -> Iterator[str]:
    """Let the namespace reach one port outside, the panel's, by a socket that this process holds open; nothing else."""
    target = urlsplit(url)
    listening = inside.inside(lambda: socket.create_server(("127.0.0.1", 0)))

    def accept() -> None:
        while True:
            try:
                inner, _ = listening.accept()
            except OSError:
                return
            outer = socket.create_connection((target.hostname or "", target.port or 0))
            threading.Thread(target=relay, args=(inner, outer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def relay(inner: socket.socket, outer: socket.socket) -> None:
    with inner, outer:
        back = threading.Thread(target=pump, args=(outer, inner), daemon=True)
        back.start()
        pump(inner, outer)
        back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
