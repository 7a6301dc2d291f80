"""5,000 domains checked by the worker: against how fast the same questions can be asked at all, in bounded time and memory."""

import multiprocessing
import random
import resource
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dns.message
import dns.query
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from core.audit import Actor
from dnschecks import dkim
from dnschecks.name_servers import server_of
from servers.dns_records import expected_of, records_of
from servers.domain_checks import check_due_domains
from servers.models import Domain, Server
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server
from servers.tasks import SWEEP_SECONDS
from servers.zone_file import zone_file
from tests.benchmarks.dns_zone import serve
from tests.benchmarks.ratios import Ratio

DOMAINS = 5_000
POOL = 32
# TXT at the name, which two checks share; DKIM, return path, MX, DMARC.
QUESTIONS = 5
BARE_SECONDS = 4.0
MIB_OF_RSS = 1_024


def measure() -> Iterator[Ratio]:
    """Yield the ratios: rate, time, memory."""
    server = make_server()
    domains = make_domains(server)
    zone = zone_file("benchmark", [record for domain in domains[:1] for record in records_of(expected_of(domain))])
    with dns_server(zone, domains[0].name, [domain.name for domain in domains]) as address:
        bare, bare_work = bare_rate(address, [domain.name for domain in domains])
        with override_settings(SLUICE_DNS_SERVERS=[address]):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start, worked = time.perf_counter(), time.process_time()
            sweeps = checked = failed = 0
            while swept := check_due_domains(seconds=SWEEP_SECONDS):
                if not swept.checked:
                    break
                sweeps, checked, failed = sweeps + 1, checked + swept.checked, failed + swept.failed
            seconds, work = time.perf_counter() - start, time.process_time() - worked
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / MIB_OF_RSS
    right = Domain.objects.filter(server=server, spf_status="ok", dkim_status="ok", mx_status="ok").count()
    yield Ratio("bare questions a second, 16 threads", bare)
    yield Ratio(f"seconds for {DOMAINS} domains in {sweeps} sweeps", seconds, 300, is_at_most=True)
    yield Ratio("domains a second", checked / seconds)
    # On a machine that does nothing else: 0.38.
    yield Ratio("questions a second ÷ bare questions a second", checked * QUESTIONS / seconds / bare, 0.25)
    # By processor time, which other programs on the machine change little. Beside each five questions there are 32 evaluations
    # of SPF, and a row that is claimed, locked and written.
    yield Ratio("work for a question ÷ work for a bare one", work / checked / QUESTIONS / bare_work, 6, is_at_most=True)
    yield Ratio("domains found right ÷ domains", right / DOMAINS, 1.0)
    yield Ratio("checks that the resolver failed", failed, 0, is_at_most=True)
    yield Ratio("growth of the worker's memory, MiB", grown, 64, is_at_most=True)
    Domain.objects.filter(server=server).delete()


def make_server() -> Server:
    """Make a server that sends by a pool of 32 addresses."""
    actor = Actor.system()
    organization = create_organization(at=timezone.now(), name=f"Benchmark {uuid.uuid4()}", actor=actor)
    # A network of its own each time, so that the benchmark can run again on the same database.
    second, third = random.randrange(256), random.randrange(256)
    ips = [f"10.{second}.{third}.{last}" for last in range(POOL)]
    pool = create_pool(organization=organization, name="Benchmark", ips=ips, actor=actor).pool
    return create_server(organization=organization, name="Benchmark", pool=pool, actor=actor).server


def make_domains(server: Server) -> list[Domain]:
    """Make the domains, all with one key and token: making 5,000 keys would measure something else."""
    public = dkim.make_key_pair().public
    return Domain.objects.bulk_create(
        Domain(
            server=server,
            name=f"d{number}.bench.example",
            verification_token="benchmark",
            dkim_identifier="bench",
            dkim_public_key=public,
        )
        for number in range(DOMAINS)
    )


@contextmanager
def dns_server(zone: str, origin: str, names: list[str]) -> Iterator[str]:
    """Serve the zone of the first domain for all of them, in a process of its own; yields the address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there, zone, origin, names), daemon=True)
    process.start()
    # Ours would keep the pipe open when that process has died.
    there.close()
    try:
        yield here.recv()
    finally:
        here.send("enough")
        process.join()


def bare_rate(address: str, names: list[str]) -> tuple[float, float]:
    """Return how many of these questions dnspython gets answered in a second with nothing around it, and the work for one."""
    host, port = server_of(address)

    def ask(offset: int) -> int:
        ends, asked = time.perf_counter() + BARE_SECONDS, 0
        while time.perf_counter() < ends:
            name = names[(offset * 313 + asked) % len(names)]
            dns.query.udp(dns.message.make_query(name, "TXT", use_edns=0, payload=1232), host, timeout=5, port=port)
            asked += 1
        return asked

    worked = time.process_time()
    with ThreadPoolExecutor(settings.SLUICE_DNS_PARALLEL) as threads:
        asked = sum(threads.map(ask, range(settings.SLUICE_DNS_PARALLEL)))
    return asked / BARE_SECONDS, (time.process_time() - worked) / asked
