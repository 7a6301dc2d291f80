"""A real authoritative DNS server on a free loopback port, over UDP and TCP, for tests and benchmarks.

dnslib packs and parses the messages, so Sluice's own resolver (dnspython) is checked against another implementation.
A zone is a text in master-file form; what a well-behaved server would never say is set name by name:

    with LocalDNS("example.com. 60 IN TXT \"v=spf1 -all\"") as dns:
        dns.fault("slow.example.com", SILENT)
        settings.SLUICE_DNS_SERVERS = [dns.address]

To try Sluice by hand, `python -m tests.serve_zone ZONE_FILE…` serves files.
"""

import socketserver
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable

from dnslib import CNAME, QTYPE, RCODE, RD, RR, DNSError, DNSLabel, DNSRecord

SILENT = "silent"  # the question is never answered
SERVFAIL = "servfail"
REFUSED = "refused"
TRUNCATED = "truncated"  # over UDP always truncated, so that TCP must be used
GARBLED = "garbled"  # the answer is no DNS message
UDP_SIZE = 512  # without EDNS
CHAIN_LIMIT = 16


class Zone:
    """The records and the faults, keyed by lower-case name without the last dot."""

    def __init__(self) -> None:
        self.records: dict[str, list[RR]] = {}
        self.names: set[str] = set()
        self.faults: dict[tuple[str, str], str] = {}

    def add(self, rr: RR) -> None:
        name = _key(rr.rname)
        self.records.setdefault(name, []).append(rr)
        labels = name.split(".")
        # Every ancestor exists too (an empty non-terminal is NODATA, not NXDOMAIN).
        self.names.update(".".join(labels[at:]) for at in range(len(labels)))

    def of(self, name: str) -> list[RR] | None:
        """The records at a name, through a wildcard where there is one; None if the name does not exist."""
        if name in self.names:
            return self.records.get(name, [])
        labels = name.split(".")
        for at in range(1, len(labels)):
            parent = ".".join(labels[at:])
            wild = self.records.get(f"*.{parent}")
            if wild is not None:
                return wild
            if parent in self.names:
                return None
        return None

    def fault_of(self, name: str, rdtype: str) -> str | None:
        return self.faults.get((name, rdtype)) or self.faults.get((name, "*"))


class LocalDNS:
    """Serves one zone until closed. `asked` counts the questions by (name, type, transport)."""

    def __init__(
        self, zone: str = "", *, follows_cnames: bool = True, recursion_available: bool = False, port: int = 0
    ) -> None:
        self.zone = Zone()
        # Whether every answer over UDP is truncated, so that records and faults alike come by TCP.
        self.tcp_only = False
        # Nothing is answered about names that end so.
        self.silent: set[str] = set()
        self.follows_cnames = follows_cnames
        self.recursion_available = recursion_available
        self.asked: Counter[tuple[str, str, str]] = Counter()
        self.load(zone)
        self.udp, self.tcp = _on_one_port(port)
        self.address = f"127.0.0.1:{self.udp.server_address[1]}"
        for server in (self.udp, self.tcp):
            server.dns = self
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def load(self, zone: str) -> None:
        """Add the records of a text in master-file form."""
        for rr in RR.fromZone(zone):
            self.zone.add(rr)

    def replace(self, zone: str) -> None:
        """Serve this zone instead, and forget the faults."""
        fresh = Zone()
        for rr in RR.fromZone(zone):
            fresh.add(rr)
        self.zone = fresh

    def put(self, records: Iterable[RR]) -> None:
        """Add records that are already made (names and texts that a master file cannot say)."""
        for rr in records:
            self.zone.add(rr)

    def remove(self, name: str, rdtype: str) -> None:
        """Forget the records of one type at one name; the name itself stays."""
        held = self.zone.records.get(name.lower(), [])
        self.zone.records[name.lower()] = [rr for rr in held if QTYPE[rr.rtype] != rdtype]

    def fault(self, name: str, kind: str, rdtype: str = "*") -> None:
        """Misbehave at one name, for one record type or for all."""
        self.zone.faults[name.lower(), rdtype] = kind

    def silence(self, ending: str = "") -> None:
        """Never answer a question about a name that ends so; by default no question at all."""
        self.silent.add(ending)

    def heal(self) -> None:
        """Forget every fault."""
        self.silent.clear()
        self.zone.faults.clear()

    def answers(self, name: str, rdtype: str) -> bool:
        """Whether there will be a DNS message about this name."""
        is_silent = any(name.endswith(ending) for ending in self.silent)
        return not is_silent and self.zone.fault_of(name, rdtype) not in (SILENT, GARBLED)

    def questions(self) -> dict[tuple[str, str], int]:
        """How often each (name, type) was asked, over both transports."""
        total: dict[tuple[str, str], int] = defaultdict(int)
        for (name, rdtype, _), count in self.asked.items():
            total[name, rdtype] += count
        return dict(total)

    def close(self) -> None:
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def __enter__(self) -> "LocalDNS":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def reply(self, message: bytes, transport: str) -> bytes | None:
        """The answer to one message, or None for silence."""
        request = DNSRecord.parse(message)
        name, rdtype = _key(request.q.qname), QTYPE[request.q.qtype]
        self.asked[name, rdtype, transport] += 1
        if any(name.endswith(ending) for ending in self.silent):
            return None
        reply = request.reply(ra=int(self.recursion_available), aa=1)
        if self.tcp_only and transport == "udp":
            return _truncated(reply)
        match self.zone.fault_of(name, rdtype):
            case "silent":
                return None
            case "servfail":
                reply.header.rcode = RCODE.SERVFAIL
                return reply.pack()
            case "refused":
                reply.header.rcode = RCODE.REFUSED
                return reply.pack()
            case "garbled":
                return message[:2] + b"\x80"
            case "truncated" if transport == "udp":
                return _truncated(reply)
        self._answer(reply, request.q.qname, rdtype)
        packed = reply.pack()
        if transport == "udp" and len(packed) > _udp_size(request):
            return _truncated(reply)
        return packed

    def _answer(self, reply: DNSRecord, asked: DNSLabel, rdtype: str) -> None:
        owner = asked
        for _ in range(CHAIN_LIMIT):
            records = self.zone.of(_key(owner))
            if records is None:
                if owner is asked or self.recursion_available:
                    reply.header.rcode = RCODE.NXDOMAIN
                return
            found = [rr for rr in records if QTYPE[rr.rtype] == rdtype]
            aliases = [] if found else [rr for rr in records if QTYPE[rr.rtype] == "CNAME"]
            for rr in found or aliases:
                reply.add_answer(RR(owner, rr.rtype, rr.rclass, rr.ttl, rr.rdata))
            if not aliases or not self.follows_cnames:
                return
            target = aliases[0].rdata
            assert isinstance(target, CNAME)
            owner = target.label


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            if isinstance(self.server, _TCPServer):
                self._over_tcp()
            else:
                message, connection = self.request
                answer = self.server.dns.reply(message, "udp")
                if answer is not None:
                    connection.sendto(answer, self.client_address)
        except (DNSError, OSError, struct.error):
            return  # what is no DNS message gets no answer

    def _over_tcp(self) -> None:
        size = struct.unpack("!H", self._read(2))[0]
        answer = self.server.dns.reply(self._read(size), "tcp")
        if answer is not None:
            self.request.sendall(struct.pack("!H", len(answer)) + answer)

    def _read(self, size: int) -> bytes:
        held = b""
        while len(held) < size:
            more = self.request.recv(size - len(held))
            if not more:
                break
            held += more
        return held


class _UDPServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False
    dns: LocalDNS


class _TCPServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    dns: LocalDNS


def name_of(text: str) -> DNSLabel:
    """A name whose labels may hold anything."""
    return DNSLabel([label.encode() for label in text.removesuffix(".").split(".")] if text else [])


def text_record(owner: DNSLabel, strings: list[bytes]) -> RR:
    """A TXT record of exactly these strings; dnslib's own leaves out empty ones."""
    return RR(owner, QTYPE.TXT, ttl=60, rdata=RD(b"".join(bytes([len(each)]) + each for each in strings)))


def _truncated(reply: DNSRecord) -> bytes:
    # As real servers do it; dnslib's own truncate() drops the question too.
    reply.rr = []
    reply.header.tc = 1
    return reply.pack()


def _udp_size(request: DNSRecord) -> int:
    # The class field of an OPT record holds the size that the asker can take (RFC 6891).
    return max((rr.rclass for rr in request.ar if QTYPE[rr.rtype] == "OPT"), default=UDP_SIZE)


def _key(name: DNSLabel) -> str:
    return b".".join(name.label).decode("latin-1").lower()


def _on_one_port(port: int) -> tuple["_UDPServer", "_TCPServer"]:
    """Bind both transports to the same port. One that is free for UDP can be taken for TCP; with 0 the next is tried."""
    while True:
        udp = _UDPServer(("127.0.0.1", port), _Handler)
        try:
            return udp, _TCPServer(udp.server_address, _Handler)
        except OSError:
            udp.server_close()
            if port:
                raise
