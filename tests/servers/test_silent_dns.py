"""A name server that never answers, and many who wait for it: others are not kept waiting."""

import datetime
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from core.errors import Busy
from dnschecks import sweep
from dnschecks.findings import Findings
from dnschecks.slots import TooManyChecks, slot
from servers.dns_records import Expected
from servers.domain_checks import DomainChecks, check_domain
from servers.domains import create_domain, verify_domain
from servers.models import Domain, Server
from tests.dns_server import LocalDNS
from tests.servers.conftest import SYSTEM, zone_of
from tests.servers.test_domain_checks import make_domains

pytestmark = [pytest.mark.server, pytest.mark.storage, pytest.mark.live]
MINUTE = datetime.timedelta(minutes=1)


def at_once(number: int, call: Any) -> Iterator[Any]:
    """What each of so many threads got from the call, in the order in which they got it."""
    begin = threading.Barrier(number)

    def run(index: int) -> Any:
        begin.wait(60)
        try:
            return call(index)
        except Busy as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as threads:
        for each in as_completed([threads.submit(run, index) for index in range(number)]):
            yield each.result()


@pytest.mark.django_db(transaction=True)
def test_most_of_many_checks_are_refused_at_once_and_left_to_the_worker(
    dns: LocalDNS, server: Server, settings: Any
) -> None:
    settings.SLUICE_DNS_WAITERS = 4
    dns.silence()
    domains = make_domains(server, 12)
    later = timezone.now() + 90 * MINUTE
    Domain.objects.update(dns_next_check_at=later)
    rows = list(Domain.objects.select_related("server"))
    answers = at_once(12, lambda index: check_domain(rows[index], actor=SYSTEM, seconds=60))

    # One organization alone holds half of the places, for half a minute: the others are refused before.
    refused = list(islice(answers, len(domains) - 2))
    dns.heal()
    assert [type(answer) for answer in answers] == [Domain] * 2
    assert {(answer.message, answer.retry_after) for answer in refused} == {
        ("Too many DNS checks are running. This one runs automatically within two minutes; try again then", 15)
    }
    assert Domain.objects.due(timezone.now()).count() == len(refused)


@pytest.mark.django_db(transaction=True)
def test_another_organization_is_answered_meanwhile(
    dns: LocalDNS, server: Server, globex_server: Server, settings: Any
) -> None:
    settings.SLUICE_DNS_WAITERS = 2
    theirs = create_domain(at=timezone.now(), server=globex_server, name="globex.example", actor=SYSTEM).domain
    dns.load(zone_of(theirs))
    silent, second = make_domains(server, 2)
    dns.silence("d0.example")
    waiting = threading.Thread(
        target=list, args=(at_once(1, lambda _: check_domain(silent, actor=SYSTEM, seconds=60)),)
    )
    waiting.start()
    try:
        while not dns.asked["d0.example", "TXT", "udp"]:
            time.sleep(0.01)
        with pytest.raises(TooManyChecks):
            check_domain(second, actor=SYSTEM)
        assert verify_domain(domain=theirs, actor=SYSTEM).is_verified
        # It is silent for half a minute.
        assert waiting.is_alive()
    finally:
        dns.heal()
        waiting.join()


def test_a_claimed_name_waits_in_the_same_places(
    dns: LocalDNS, domain: Domain, globex_server: Server, settings: Any
) -> None:
    settings.SLUICE_DNS_WAITERS = 1
    dns.load(zone_of(domain))
    verify_domain(domain=domain, actor=SYSTEM)
    asked = dns.asked["example.com", "TXT", "udp"]
    dns.silence()
    with ThreadPoolExecutor(1) as threads:
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with slot("somebody else"):
                entered.set()
                leave.wait(30)

        held = threads.submit(hold)
        entered.wait(30)
        with pytest.raises(TooManyChecks):
            create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM)
        # While the only place is taken: it is not waited for, nor is the domain's check.
        assert not dns.asked["example.com", "TXT", "udp"] > asked
        leave.set()
        held.result()
    assert not Domain.objects.filter(server=globex_server).exists()


# --- The sweep -------------------------------------------------------------------------------------------------------


class Recorded(DomainChecks):
    """Notes in which order the threads were given rows.

    When a thread begins is the operating system's: sixteen that are free begin in any order.
    """

    def __init__(self) -> None:
        super().__init__(SYSTEM)
        self.queued: list[int] = []

    def plans(self, ids: Sequence[int]) -> Mapping[int, Expected]:
        self.queued.extend(ids)
        return super().plans(ids)


@pytest.mark.usefixtures("impatient")
def test_a_domain_beside_160_silent_ones_is_checked_soon(dns: LocalDNS, server: Server, globex_server: Server) -> None:
    """16 at a time, each 15 s: theirs is the second that a thread gets."""
    dns.silence()
    make_domains(server, 160)
    Domain.objects.update(dns_next_check_at=timezone.now() - 90 * MINUTE)
    theirs = create_domain(at=timezone.now(), server=globex_server, name="globex.example", actor=SYSTEM).domain
    Domain.objects.filter(pk=theirs.pk).update(dns_next_check_at=timezone.now() - MINUTE)
    kind = Recorded()
    assert sweep.sweep(kind, parallel=16, seconds=60).checked == 161
    assert kind.queued.index(theirs.pk) == 1


@pytest.mark.usefixtures("impatient")
def test_one_that_becomes_due_during_a_sweep_does_not_wait_for_its_end(
    dns: LocalDNS, server: Server, globex_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dnschecks.round_robin.FRESH", 0.0)
    dns.silence()
    make_domains(server, 30)
    later = create_domain(at=timezone.now(), server=globex_server, name="globex.example", actor=SYSTEM).domain
    Domain.objects.filter(pk=later.pk).update(dns_next_check_at=timezone.now() + MINUTE)

    class Arriving(Recorded):
        def write(self, row: Domain, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
            Domain.objects.filter(pk=later.pk, dns_checked_at=None).update(dns_next_check_at=at - MINUTE)
            return super().write(row, findings, at)

    kind = Arriving()
    assert sweep.sweep(kind, parallel=4, seconds=60).checked == 31
    # Of 4 threads and a queue of 8, so some 12 begin before it at most, and not all 30.
    assert kind.queued.index(later.pk) <= 20


def test_organizations_take_turns(dns: LocalDNS, server: Server, globex_server: Server) -> None:
    acmes, globexes = make_domains(server, 6), make_domains(globex_server, 3)
    now = timezone.now()
    for rank, domain in enumerate([*acmes, *globexes]):
        Domain.objects.filter(pk=domain.pk).update(dns_next_check_at=now - (60 - rank) * MINUTE)

    kind = Recorded()
    assert sweep.sweep(kind, parallel=1, seconds=30).checked == 9
    a, g = [each.pk for each in acmes], [each.pk for each in globexes]
    assert kind.queued == [a[0], g[0], a[1], g[1], a[2], g[2], a[3], a[4], a[5]]
