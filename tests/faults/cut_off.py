"""An address of a machine that can be cut off: what is sent there is lost, and no connection is closed."""

import contextlib
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.mta.namespace import Namespace, namespace

# For tests of networks, by RFC 5737; reached by a link of its own.
HERE, THERE = "198.51.100.1", "198.51.100.2"
_PIECE = 65536


@dataclass
class Machine:
    """A namespace with one address, where connections are passed on to a port of the loopback outside."""

    inside: Namespace
    port: int
    target: int
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return THERE, self.port

    def cut_off(self) -> None:
        subprocess.run(["ip", "-n", self.inside.name, "link", "set", "machine", "down"], check=True)

    def pass_on(self, listening: socket.socket) -> None:
        """Accept until the socket is closed."""
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.sockets += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def machine(target: int) -> Iterator[Machine]:
    """Make one; raises CannotBeMade where namespaces cannot be had."""
    with namespace() as inside:
        outer = f"cut{secrets.token_hex(3)}"
        add = ["ip", "link", "add", outer, "type", "veth", "peer", "name", "machine", "netns", inside.name]
        subprocess.run(add, check=True)
        try:
            for command in (
                ["ip", "addr", "add", f"{HERE}/30", "dev", outer],
                ["ip", "link", "set", outer, "up"],
                ["ip", "-n", inside.name, "addr", "add", f"{THERE}/30", "dev", "machine"],
                ["ip", "-n", inside.name, "link", "set", "machine", "up"],
            ):
                subprocess.run(command, check=True)
            # A socket stays in the namespace where it was made, whoever uses it.
            listening = inside.inside(lambda: socket.create_server((THERE, 0)))
            found = Machine(inside, listening.getsockname()[1], target)
            threading.Thread(target=found.pass_on, args=(listening,), daemon=True).start()
            try:
                yield found
            finally:
                for each in (listening, *found.sockets):
                    each.close()
        finally:
            subprocess.run(["ip", "link", "del", outer], check=False)
