"""A network namespace with a loopback and nothing else: what runs in it reaches nobody outside."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tools import network


class CannotBeMade(Exception):
    """Namespaces cannot be had here, and why."""


class Namespace:
    """One namespace; its processes end with it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, **how: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*command), capture_output=True, text=True, **how)

    def start(self, *command: str, **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, start_new_session=True, **how)

    def add_addresses(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            # Duplicate addresses are looked for otherwise, for a second or two.
            length = ["128", "nodad"] if ":" in address else ["32"]
            subprocess.run(
                ["ip", "-n", self.name, "addr", "replace", f"{address}/{length[0]}", "dev", "lo", *length[1:]],
                check=True,
            )

    def inside[Answer](self, function: Callable[[], Answer]) -> Answer:
        """Call a function in a thread that is in the namespace, and return what it returns."""
        return network.inside(f"/run/netns/{self.name}", function)

    def processes(self) -> list[int]:
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split() if int(pid) != os.getpid()]

    def end_processes(self) -> None:
        """End everything in the namespace: nothing is there that the test did not start."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + (5 if number == signal.SIGTERM else 10)
            while (pids := self.processes()) and time.monotonic() < deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                time.sleep(0.1)


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace whose only resolver is on its own loopback. Raises CannotBeMade."""
    if os.geteuid() != 0:
        raise CannotBeMade("a network namespace needs root")
    if shutil.which("ip") is None:
        raise CannotBeMade("there is no `ip` (Debian: iproute2)")
    name = f"sluice-{os.getpid()}-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        raise CannotBeMade(f"a network namespace cannot be made here: {made.stderr.strip()}")
    # `ip netns exec` puts this over /etc/resolv.conf, inside only.
    folder = pathlib.Path("/etc/netns") / name
    found = Namespace(name)
    try:
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        links = subprocess.run(["ip", "-n", name, "-o", "link"], capture_output=True, text=True, check=True).stdout
        assert len(links.splitlines()) == 1, links
        yield found
    finally:
        found.end_processes()
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
