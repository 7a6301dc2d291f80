"""The DNS server of the DNS benchmark, which runs in a process of its own and knows nothing of Django."""

from multiprocessing.connection import Connection

from dnslib import RR

from tests.dns_server import LocalDNS


def serve(pipe: Connection, zone: str, origin: str, names: list[str]) -> None:
    """Answer until told to end."""
    model = RR.fromZone(zone)
    with LocalDNS() as server:
        for name in names:
            server.put(RR(str(rr.rname).replace(origin, name), rr.rtype, rr.rclass, rr.ttl, rr.rdata) for rr in model)
        pipe.send(server.address)
        pipe.recv()
