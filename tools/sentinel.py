"""A temporary Valkey with a replica, and three Sentinels that promote it when the primary is away.

with sentinel.running(folder) as group:
    os.kill(group.primary(), signal.SIGKILL)
"""

import contextlib
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis

from tools import processes, valkey

MASTER = "sluice"
SENTINELS = 3
# Milliseconds without an answer after which the primary counts as away.
DOWN_AFTER = 2000
_WITHIN = 30


@dataclass(frozen=True)
class Group:
    """The running servers, by their ports."""

    url: str
    password: str
    servers: dict[int, int]
    sentinels: list[int]

    def primary(self) -> int:
        """Return the port of the server that the first Sentinel names."""
        with redis.Redis(port=self.sentinels[0], socket_timeout=2) as client:
            _, port = client.sentinel_get_master_addr_by_name(MASTER)
        return int(port)

    def process_of(self, port: int) -> int:
        """Return the process of the server at this port."""
        return self.servers[port]

    @contextlib.contextmanager
    def client(self, port: int) -> Iterator["redis.Redis"]:
        """Yield a client of the server at this port."""
        with redis.Redis(port=port, password=self.password, socket_timeout=5) as client:
            yield client


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Group]:
    """Run the five; yields when the Sentinels know each other and the replica."""
    password = secrets.token_urlsafe(18)
    with contextlib.ExitStack() as stack:
        keys = f"requirepass {password}\nmasterauth {password}\nsave ''\nappendonly no\nmaxmemory-policy noeviction\n"
        first, first_process = _started(stack, folder, "primary", keys)
        second, second_process = _started(stack, folder, "replica", f"{keys}replicaof 127.0.0.1 {first}\n")
        watch = (
            f"sentinel monitor {MASTER} 127.0.0.1 {first} 2\nsentinel auth-pass {MASTER} {password}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}\nsentinel failover-timeout {MASTER} 6000\n"
        )
        sentinels = [
            _started(stack, folder, f"sentinel{number}", watch, "--sentinel")[0] for number in range(SENTINELS)
        ]
        places = ",".join(f"127.0.0.1:{port}" for port in sentinels)
        url = f"sentinel://:{password}@{places}/0?master={MASTER}"
        group = Group(url, password, {first: first_process, second: second_process}, sentinels)
        _wait_until_known(group)
        yield group


def _started(stack: contextlib.ExitStack, folder: Path, name: str, settings: str, *options: str) -> tuple[int, int]:
    """Start one server and return its port and its process."""
    port = processes.free_port()
    own = folder / name
    own.mkdir()
    configuration, log = own / "valkey.conf", own / "valkey.log"
    configuration.write_text(f"bind 127.0.0.1\nport {port}\ndir {own}\n{settings}")
    configuration.chmod(0o600)
    command = [valkey.program(), str(configuration), *options]
    server = processes.start(command, log=log, user=None, last_signal=signal.SIGTERM)
    stack.callback(processes.end, server, signal.SIGTERM)
    processes.wait_until_ready(server, partial(processes.answers, port), name=name, log=log)
    return port, server.pid


def _wait_until_known(group: Group) -> None:
    deadline = time.monotonic() + _WITHIN
    for port in group.sentinels:
        with redis.Redis(port=port, socket_timeout=2) as client:
            while True:
                state = client.sentinel_masters()[MASTER]
                if state["num-other-sentinels"] == SENTINELS - 1 and state["num-slaves"] == 1:
                    break
                if time.monotonic() > deadline:
                    raise processes.NotReady(f"The Sentinels did not find each other within {_WITHIN} s.")
                time.sleep(0.1)
