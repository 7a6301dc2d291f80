"""Receiving mail servers on loopback addresses, which answer by the recipient and measure: who came when, from where, as whom.

And the names by which they are found: any name below `.example` has the sink as its mail server.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dnslib import AAAA, MX, QTYPE, RCODE, RR, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from tests.mta.namespace import Namespace

SINK = "127.0.1.10"
# Where a test may have another sink, for what is below fast.example.
FAST = "127.0.1.20"
# Receivers below six.example have IPv6 addresses alone, those below both.example both; a test asks the sink to listen there.
SINK6 = "fd00:53::10"
HOSTS = {"mx.sink.example": SINK, "mx.fast.example": FAST, "mx.both.example": SINK}
HOSTS6 = {"mx.six.example": SINK6, "mx.both.example": SINK6}
# Python has no name for it: the size of a socket's buffer beyond the system's limit, for root.
SO_RCVBUFFORCE = 33
ADDRESS = re.compile(r"<(?:[^<>]*:)?([^<>]*)>")


class Verdict(NamedTuple):
    """The reply about a recipient, and after how many seconds it is said."""

    code: int
    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Act:
    """One answer about one recipient: `code` 250 is an accepted message."""

    at: float
    source: str
    helo: str
    sender: str
    to: str
    code: int
    subject: str
    is_encrypted: bool = False

    @property
    def domain(self) -> str:
        return self.to.rpartition("@")[2]


@dataclass
class Record:
    """What the sink has seen."""

    acts: list[Act] = field(default_factory=list)
    connections: Counter[str] = field(default_factory=Counter)
    open_by: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    # When each connection was opened, by source address.
    opened: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def accepted(self, domain: str = "") -> list[Act]:
        """Return the messages taken, to this domain and those below it; notifications that the MTA made are not counted."""
        return [
            act
            for act in self.acts
            if act.code == 250 and act.sender and f".{act.domain}".endswith(f".{domain}" if domain else "")
        ]


class Sink:
    """Answers by the recipient's local part: nobody… 550, full… 452, tempfail… 451 the first time; else 250.

    `seconds` is how long each message takes at the end of its data.
    """

    def __init__(self) -> None:
        self.record = Record()
        self.seconds = 0.0
        # With it STARTTLS is offered.
        self.tls: ssl.SSLContext | None = None
        self._seen: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Start measuring anew; connections that are open stay counted."""
        fresh = Record()
        fresh.open_by = self.record.open_by
        fresh.peak = Counter(self.record.open_by)
        self.record = fresh

    def verdict(self, source: str, sender: str, to: str) -> Verdict:
        name = to.partition("@")[0]
        if name.startswith("nobody"):
            return Verdict(550, "550 5.1.1 The email account that you tried to reach does not exist")
        if name.startswith("full"):
            return Verdict(452, "452 4.2.2 mailbox full")
        if name.startswith("tempfail") and (sender, to) not in self._seen:
            self._seen.add((sender, to))
            return Verdict(451, "451 4.7.1 Greylisted, please try again")
        return Verdict(250, "250 2.1.5 ok")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        record = self.record
        record.connections[source] += 1
        record.open_by[source] += 1
        record.peak[source] = max(record.peak[source], record.open_by[source])
        record.opened[source].append(time.time())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError, IndexError):
            await self._talk(reader, writer, source)
        record.open_by[source] -= 1
        with contextlib.suppress(ConnectionError):
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str) -> None:
        talk = Talk(self, reader, writer, source)
        await talk.say("220 mx.sink.example ESMTP")
        while line := await asyncio.wait_for(reader.readline(), 120):
            command = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = command[:4].upper()
            if verb == "QUIT":
                await talk.say("221 2.0.0 bye")
                return
            await getattr(talk, f"on_{verb.lower()}", talk.on_other)(command)


class Talk:
    """One connection's state."""

    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str) -> None:
        self.sink, self.reader, self.writer, self.source = sink, reader, writer, source
        self.helo = self.sender = ""
        self.recipients: list[str] = []
        self.is_encrypted = False

    async def say(self, text: str) -> None:
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    def note(self, to: str, code: int, subject: str = "") -> None:
        self.sink.record.acts.append(
            Act(time.time(), self.source, self.helo, self.sender, to, code, subject, self.is_encrypted)
        )

    async def on_ehlo(self, command: str) -> None:
        self.helo = command[5:].strip()
        starttls = "250-STARTTLS\r\n" if self.sink.tls and not self.is_encrypted else ""
        await self.say(f"250-mx.sink.example\r\n{starttls}250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME")

    async def on_star(self, command: str) -> None:
        assert self.sink.tls is not None
        await self.say("220 2.0.0 ready")
        await self.writer.start_tls(self.sink.tls)
        self.is_encrypted, self.helo = True, ""

    async def on_mail(self, command: str) -> None:
        self.sender, self.recipients = ADDRESS.findall(command)[0], []
        await self.say("250 2.1.0 ok")

    async def on_rcpt(self, command: str) -> None:
        to = ADDRESS.findall(command)[0]
        verdict = self.sink.verdict(self.source, self.sender, to)
        if verdict.seconds:
            await asyncio.sleep(verdict.seconds)
        if verdict.code == 250:
            self.recipients.append(to)
        else:
            self.note(to, verdict.code)
        await self.say(verdict.text)

    async def on_data(self, command: str) -> None:
        if not self.recipients:
            await self.say("503 5.5.1 no valid recipients")
            return
        await self.say("354 go on")
        subject, headers = "", True
        while (content := await self.reader.readline()) not in (b".\r\n", b""):
            headers = headers and content != b"\r\n"
            if headers and content.lower().startswith(b"subject:"):
                subject = content[8:].decode("utf-8", "replace").strip()
        if self.sink.seconds:
            await asyncio.sleep(self.sink.seconds)
        for to in self.recipients:
            self.note(to, 250, subject)
        await self.say("250 2.0.0 Ok: queued")

    async def on_other(self, command: str) -> None:
        await self.say("250 2.0.0 ok")


class Names(BaseResolver):
    """`x.example` has `mx.sink.example`; everything else is not there."""

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        if name in HOSTS or name in HOSTS6:
            if kind == "A" and name in HOSTS:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(HOSTS[name]), ttl=60))
            elif kind == "AAAA" and name in HOSTS6:
                reply.add_answer(RR(request.q.qname, QTYPE.AAAA, rdata=AAAA(HOSTS6[name]), ttl=60))
        elif name.endswith(".example") and not name.startswith("missing."):
            if kind == "MX":
                group = next((each for each in ("fast", "six", "both") if name.endswith(f"{each}.example")), "sink")
                host = f"mx.{group}.example"
                reply.add_answer(RR(request.q.qname, QTYPE.MX, rdata=MX(host, 10), ttl=60))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


class Receivers:
    """The sink and the names, running in a namespace until `close`."""

    def __init__(self, inside: Namespace, sink: Sink | None = None, names: Names | None = None) -> None:
        self.sink = sink or Sink()
        self._inside = inside
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._dns = inside.inside(lambda: self._names(names or Names()))
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: inside.inside(lambda: self._serve(ready)), daemon=True, name="receivers"
        )
        self._thread.start()
        assert ready.wait(10), "the sink does not listen"

    def _names(self, names: Names) -> DNSServer:
        quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
        server = DNSServer(names, address="127.0.0.1", port=53, logger=quiet)
        # A flushed queue asks thousands of questions at once: what has no room is asked again after seconds, and then deferred.
        server.server.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        server.start_thread()
        return server

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        starting = asyncio.start_server(self.sink.serve, SINK, 25, backlog=500)
        self._servers.append(self._loop.run_until_complete(starting))
        ready.set()
        try:
            self._loop.run_forever()
        finally:
            for server in self._servers:
                server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.1))
            self._loop.close()

    def listen_too(self, address: str) -> None:
        """Let the sink listen on one more address of the namespace; `close` ends that too."""
        listening = self._inside.inside(
            lambda: socket.create_server((address, 25), family=socket.AF_INET6, backlog=500)
        )
        starting = asyncio.start_server(self.sink.serve, sock=listening)
        self._servers.append(asyncio.run_coroutine_threadsafe(starting, self._loop).result(10))

    def close(self) -> None:
        self._dns.server.shutdown()
        self._dns.server.server_close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
