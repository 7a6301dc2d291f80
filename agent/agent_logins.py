"""Authentication server for Postfix's submission service, in Dovecot's authentication protocol.

A process of its own, started by the agent: Postfix stops taking mail where this socket is away, so it outlives the agent for
ten minutes (agent_sockets.py). It knows digests only, from the policy's overlay on disk. Wrong passwords are slowed and
counted, and never written anywhere. Python 3.9, standard library only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ipaddress
import json
import os
import time

import agent_sockets
from agent_credentials import Logins

LOCK, SOCKETS = "logins.lock", "sockets.json"
# Postfix waits for ten seconds.
LONGEST_DELAY = 8.0
SECONDS_TO_FORGET = 300.0
MOST_CLIENTS = 10_000


class PasswordDelay:
    """Slows clients that present wrong passwords: 1, 2, 4, 8 seconds. A client is an IPv4 address, or a /64 of IPv6."""

    def __init__(self):
        self._wrong = {}

    def seconds(self, client, now):
        """Return how long to wait before the answer."""
        count = self._count(client, now)
        return min(LONGEST_DELAY, 2.0 ** (count - 1)) if count else 0.0

    def wrong(self, client, now):
        """Note a wrong password."""
        if len(self._wrong) >= MOST_CLIENTS:
            # The latest half, so that this is done rarely, however many clients there are at a time.
            latest = list(self._wrong.items())[-(MOST_CLIENTS // 2) :]
            self._wrong = {name: each for name, each in latest if now - each[1] < SECONDS_TO_FORGET}
        count = self._count(client, now)
        self._wrong.pop(_network(client), None)
        self._wrong[_network(client)] = (count + 1, now)

    def right(self, client):
        """Forget, after a right one."""
        self._wrong.pop(_network(client), None)

    def _count(self, client, now):
        count, last = self._wrong.get(_network(client), (0, 0.0))
        # Bounded: 2 ** 1000 is not a usable number of seconds.
        return min(count, 10) if now - last < SECONDS_TO_FORGET else 0


def _network(client):
    """Return what one client can be: who has one IPv6 address has those of its /64 as well."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    return str(address.ipv4_mapped) if address.ipv4_mapped else address.packed[:8]


class Server:
    """The socket's side: a connection is one Postfix process, which asks several questions at a time."""

    def __init__(self, overlay_path, counts_path):
        self._overlay_path, self._counts_path = overlay_path, counts_path
        self._logins, self._seen = Logins({}), None
        self._brake = PasswordDelay()
        self._counts = {"accepted": 0, "refused": 0}
        self._connections = 0
        with contextlib.suppress(OSError, ValueError, TypeError), open(counts_path, encoding="utf-8") as file:
            self._counts.update({name: int(value) for name, value in json.load(file).items() if name in self._counts})

    def logins(self):
        """Return what the overlay on disk says, read anew when it was replaced."""
        try:
            stat = os.stat(self._overlay_path)
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._seen:
                with open(self._overlay_path, encoding="utf-8") as file:
                    self._logins = Logins(json.load(file))
                self._seen = seen
        except (OSError, ValueError, KeyError):
            # Missing or unreadable: clients cannot authenticate then.
            if self._seen is None:
                self._logins = Logins({})
        return self._logins

    async def connected(self, reader, writer):
        """Speak with one Postfix process."""
        self._connections += 1
        writer.write(
            b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\n"
            + f"SPID\t{os.getpid()}\nCUID\t{self._connections}\nCOOKIE\t{os.urandom(16).hex()}\nDONE\n".encode()
        )
        started, tasks = {}, set()
        try:
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break
                words = line.rstrip(b"\r\n").decode("utf-8", "replace").split("\t")
                if words[0] == "AUTH" and len(words) >= 3:
                    started[words[1]] = Attempt(words[2], words[3:])
                    step = started[words[1]].begin()
                elif words[0] == "CONT" and len(words) >= 3 and words[1] in started:
                    step = started[words[1]].go_on(words[2])
                else:
                    continue
                if step is None:
                    task = asyncio.ensure_future(self._decide(words[1], started.pop(words[1]), writer))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                else:
                    writer.write(f"CONT\t{words[1]}\t{step}\n".encode())
                    await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    async def _decide(self, number, attempt, writer):
        await asyncio.sleep(self._brake.seconds(attempt.client, time.monotonic()))
        if attempt.is_private and self.logins().accepts(attempt.user, attempt.password, time.time()):
            self._brake.right(attempt.client)
            self._counts["accepted"] += 1
            writer.write(f"OK\t{number}\tuser={attempt.user}\n".encode())
        else:
            if attempt.is_private:
                self._brake.wrong(attempt.client, time.monotonic())
            self._counts["refused"] += 1
            writer.write(f"FAIL\t{number}\n".encode())
        with contextlib.suppress(OSError):
            await writer.drain()

    def write_counts(self):
        """Put the counts where the agent reads them."""
        with contextlib.suppress(OSError):
            beside = self._counts_path + ".new"
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(self._counts, file)
            os.replace(beside, self._counts_path)


class Attempt:
    """One log-in, in one step (PLAIN) or two (LOGIN)."""

    def __init__(self, mechanism, parameters):
        named = dict(each.partition("=")[::2] for each in parameters)
        self.client = named.get("rip", "")
        self.user, self.password = "", b""
        self._mechanism = mechanism.upper()
        self._first = named.get("resp")
        self._asked = 0
        # A password that went over the net in the clear is refused, even if right.
        self.is_private = "secured" in named or _is_loopback(self.client)

    def begin(self):
        """Return the next question (base64), or None: all is said."""
        if self._mechanism == "LOGIN":
            if self._first:
                return self.go_on(self._first)
            return base64.b64encode(b"Username:").decode()
        if self._first is None:
            return ""
        return self.go_on(self._first)

    def go_on(self, answer):
        """Take an answer, and return the next question, or None."""
        try:
            said = base64.b64decode(answer, validate=True)
        except (binascii.Error, ValueError):
            said = b""
        if self._mechanism == "LOGIN":
            self._asked += 1
            if self._asked == 1:
                self.user = _user(said)
                return base64.b64encode(b"Password:").decode()
            self.password = said
            return None
        # RFC 4616: who to be (not used), who it is, password.
        parts = said.split(b"\0")
        if len(parts) == 3:
            self.user, self.password = _user(parts[1]), parts[2]
        return None


def _user(name):
    # Tab and newline would end a field of the protocol.
    text = name.decode("utf-8", "replace")
    return text if text.isprintable() else ""


def _is_loopback(address):
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def serve(state):
    """Answer on the sockets that the agent wants."""
    server = Server(os.path.join(state, "overlay.json"), os.path.join(state, "logins.json"))
    await agent_sockets.listen_on(state, SOCKETS, lambda _: server.connected, server.write_counts)


def main(state):
    """Serve, unless another process does."""
    agent_sockets.alone(state, LOCK, serve)
