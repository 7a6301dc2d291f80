"""What a machine reaches: a namespace at the other end of its cable, with receivers, their DNS and a panel's HTTPS."""

import asyncio
import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from dnslib import MX, QTYPE, RCODE, RR, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from tests.mta.namespace import Namespace
from tests.mta.receivers import Sink

ROUTER, SINK, PANEL = "203.0.113.1", "198.51.100.10", "198.51.100.20"
PANEL_NAME = "sluice.example.com"


class Names(BaseResolver):
    """Every domain's mail server is the sink; the panel has a name of its own, and nothing has an IPv6 address."""

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        if kind == "A":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(PANEL if name == PANEL_NAME else SINK), ttl=60))
        elif kind == "MX" and not name.startswith("mx."):
            reply.add_answer(RR(request.q.qname, QTYPE.MX, rdata=MX(f"mx.{name}", 10), ttl=60))
        elif kind not in ("MX", "AAAA"):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def connect(machine: Namespace, outside: Namespace, addresses: list[str]) -> None:
    """Give the machine a network interface with these addresses, whose other end is outside; neither leads further."""
    link = f"link add eth0 type veth peer name eth0 netns {outside.name}"
    _ip(machine, link, *(f"addr add {each}/24 dev eth0" for each in addresses), "link set eth0 up")
    places = (f"addr add {ROUTER}/24 dev eth0", *(f"addr add {each}/32 dev lo" for each in (SINK, PANEL)))
    _ip(outside, *places, "link set eth0 up")
    _ip(machine, f"route add default via {ROUTER}")


def _ip(inside: Namespace, *commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", "-n", inside.name, *command.split()], check=True)


@contextlib.contextmanager
def serving(outside: Namespace, sink: Sink, panel_url: str, certificate: ssl.SSLContext) -> Iterator[None]:
    """Run the sink, the names, and the panel's HTTPS, which passes requests on to where the panel listens."""
    target = urlsplit(panel_url)
    loop = asyncio.new_event_loop()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await sink.serve(reader, writer)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            back, forth = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))

    async def start() -> list[asyncio.Server]:
        return [
            await asyncio.start_server(take, sock=mail),
            await asyncio.start_server(pass_on, sock=https, ssl=certificate),
        ]

    mail = outside.inside(lambda: socket.create_server((SINK, 25), backlog=500))
    https = outside.inside(lambda: socket.create_server((PANEL, 443), backlog=500))
    quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
    names = outside.inside(lambda: DNSServer(Names(), address=ROUTER, port=53, logger=quiet))
    names.start_thread()
    servers = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        names.server.shutdown()
        names.server.server_close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for server in servers:
            server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.closing(sink), contextlib.suppress(OSError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, ssl.SSLContext]:
    """Make a certificate for the panel's name; return its file, which a machine must trust, and what a server needs."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={PANEL_NAME}",
         "-addext", f"subjectAltName=DNS:{PANEL_NAME}", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return chain, context
