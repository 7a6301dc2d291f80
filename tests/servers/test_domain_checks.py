"""Checking many domains: who is due, one checker each, side by side with a bound, and what a crash leaves."""

import datetime
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from core.audit import Actor
from core.errors import NotFound
from dnschecks import sweep
from dnschecks.checked import UNPLANNED
from dnschecks.findings import Findings
from dnschecks.resolver import Resolver
from dnschecks.sweep import LEASE, CheckInProgress, check_now, claim_due, make_due
from ippools.models import IPPool
from servers.dns_records import Expected, expected_of, expected_of_many
from servers.domain_checks import DomainChecks, check_domain, check_due_domains
from servers.models import Domain, Server
from servers.pools import create_pool
from servers.provisioning import change_server, delete_server
from servers.tasks import check_domains
from tests.clock import Clock
from tests.dns_server import SILENT, LocalDNS
from tests.servers.conftest import SYSTEM, statuses, zone_of

pytestmark = [pytest.mark.server, pytest.mark.storage]

MINUTE = datetime.timedelta(minutes=1)


def make_domains(server: Server, number: int) -> list[Domain]:
    return Domain.objects.bulk_create(
        Domain(
            server=server, name=f"d{index}.example", verification_token="t", dkim_identifier="abc", dkim_public_key="k"
        )
        for index in range(number)
    )


def due_at(domain: Domain) -> datetime.datetime:
    return Domain.objects.values_list("dns_next_check_at", flat=True).get(pk=domain.pk)


@pytest.fixture
def settled(dns: LocalDNS, domain: Domain) -> Domain:
    """A domain that has just been checked and is right."""
    dns.load(zone_of(domain))
    return check_domain(domain, actor=SYSTEM)


def test_it_works(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    swept = check_due_domains(seconds=10)

    assert (swept.checked, swept.failed) == (1, 0)
    domain.refresh_from_db()
    assert set(statuses(domain).values()) == {"ok"}
    assert (domain.dns_claim, domain.dns_claimed_until, domain.dns_streak) == (None, None, 1)
    wait = domain.dns_next_check_at - domain.dns_checked_at
    assert 48 * MINUTE <= wait <= 72 * MINUTE
    assert check_due_domains(seconds=10).checked == 0


def test_the_task_does_the_same(dns: LocalDNS, domain: Domain) -> None:
    dns.load(zone_of(domain))
    check_domains.delay()
    domain.refresh_from_db()
    assert domain.is_verified


def test_a_stable_domain_is_checked_ever_more_rarely(dns: LocalDNS, settled: Domain) -> None:
    waits = []
    for _ in range(3):
        with time_machine.travel(due_at(settled) + MINUTE, tick=True):
            assert check_due_domains(seconds=10).checked == 1
        settled.refresh_from_db()
        waits.append(settled.dns_next_check_at - settled.dns_checked_at)
    hours = [round(each / (60 * MINUTE), 1) for each in waits]
    assert settled.dns_streak == 4
    assert [1.6 <= hours[0] <= 2.4, 3.2 <= hours[1] <= 4.8, 6.4 <= hours[2] <= 9.6] == [True] * 3


def test_a_change_is_noticed_and_looked_at_again_soon(dns: LocalDNS, settled: Domain) -> None:
    dns.remove("example.com", "MX")
    with time_machine.travel(settled.created_at + datetime.timedelta(days=3), tick=True):
        assert check_due_domains(seconds=10).checked == 1
    settled.refresh_from_db()
    assert (settled.mx_status, settled.dns_streak) == ("missing", 1)
    assert 4 * MINUTE <= settled.dns_next_check_at - settled.dns_checked_at <= 6 * MINUTE


@pytest.mark.usefixtures("impatient")
def test_a_failing_resolver_is_asked_again_with_growing_patience(dns: LocalDNS, settled: Domain) -> None:
    dns.fault("_dmarc.example.com", SILENT)
    waits = []
    for _ in range(3):
        with time_machine.travel(due_at(settled) + MINUTE, tick=True):
            assert check_due_domains(seconds=10) == sweep.Swept(checked=1, failed=1)
        settled.refresh_from_db()
        waits.append((settled.dns_next_check_at - settled.dns_checked_at) / MINUTE)
    assert (settled.dns_failures, settled.dmarc_status) == (3, "ok")
    assert [0.8 <= waits[0] <= 1.2, 1.6 <= waits[1] <= 2.4, 3.2 <= waits[2] <= 4.8] == [True] * 3


def test_domains_of_deleted_servers_are_left_alone(dns: LocalDNS, domain: Domain) -> None:
    delete_server(server=domain.server, at=timezone.now(), actor=SYSTEM)
    assert check_due_domains(seconds=10).checked == 0


def test_another_pool_means_another_look(settled: Domain, server: Server, pool: IPPool) -> None:
    other = create_pool(organization=server.organization, name="Other", ips=["203.0.113.5"], actor=SYSTEM).pool
    change_server(server=server, ip_pool=other, actor=SYSTEM)
    assert check_due_domains(seconds=10).checked == 1
    settled.refresh_from_db()
    assert settled.spf_status == "invalid"
    assert settled.spf_error.startswith("203.0.113.5 does not pass (softfail by “~all”).")


# --- Claims ----------------------------------------------------------------------------------------------------------


def test_what_is_claimed_is_nobody_elses(domain: Domain) -> None:
    rows = DomainChecks(SYSTEM).rows()
    assert claim_due(rows, claim=uuid.uuid4(), limit=10) == [domain.pk]
    assert claim_due(rows, claim=uuid.uuid4(), limit=10) == []
    assert check_due_domains(seconds=10).checked == 0


def test_a_dead_workers_claim_runs_out(dns: LocalDNS, domain: Domain) -> None:
    claim_due(DomainChecks(SYSTEM).rows(), claim=uuid.uuid4(), limit=10)
    with time_machine.travel(timezone.now() + LEASE + MINUTE, tick=True):
        assert check_due_domains(seconds=10).checked == 1


def test_a_claim_that_was_lost_writes_nothing(dns: LocalDNS, domain: Domain) -> None:
    class Robbed(DomainChecks):
        def examine(self, plan: Expected, resolver: Resolver) -> Findings:
            # "Check now" asks in the calling thread, so the test may use the database here: the lease ran out meanwhile.
            Domain.objects.filter(pk=domain.pk).update(dns_claim=thief)
            return super().examine(plan, resolver)

    thief = uuid.uuid4()
    dns.load(zone_of(domain))
    check_now(Robbed(SYSTEM), domain.pk, asked_by=1)

    domain.refresh_from_db()
    assert (domain.dns_claim, domain.dns_checked_at, domain.is_verified) == (thief, None, False)


def test_the_longest_waiting_come_first(server: Server) -> None:
    now = timezone.now()
    domains = make_domains(server, 4)
    for domain, minutes in zip(domains, (5, None, 30, -5), strict=True):
        at = None if minutes is None else now - minutes * MINUTE
        Domain.objects.filter(pk=domain.pk).update(dns_next_check_at=at)
    rows = DomainChecks(SYSTEM).rows()
    first, second, third, _ = (domain.pk for domain in domains)
    assert claim_due(rows, claim=uuid.uuid4(), limit=2) == [second, third]
    assert claim_due(rows, claim=uuid.uuid4(), limit=9) == [first]


def test_check_now_waits_for_a_check_under_way_and_then_gives_up(
    dns: LocalDNS, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(sweep, "time", clock)
    kind = DomainChecks(SYSTEM)
    claim_due(kind.rows(), claim=uuid.uuid4(), limit=1)
    with pytest.raises(CheckInProgress):
        check_now(kind, domain.pk, asked_by=1, seconds=5)
    assert 5 <= clock.seconds <= 5 + 2 * sweep.POLL
    Domain.objects.filter(pk=domain.pk).update(dns_claimed_until=timezone.now())
    check_now(kind, domain.pk, asked_by=1, seconds=5)
    domain.refresh_from_db()
    assert domain.mx_status == "missing"


def test_a_domain_that_is_gone_is_not_found(dns: LocalDNS, domain: Domain) -> None:
    Domain.objects.all().delete()
    with pytest.raises(NotFound):
        check_domain(domain, actor=SYSTEM)
    with pytest.raises(NotFound):
        expected_of(domain)


def test_a_domain_that_goes_while_it_is_checked_is_not_found(dns: LocalDNS, domain: Domain) -> None:
    class Vanishing(DomainChecks):
        def examine(self, plan: Expected, resolver: Resolver) -> Findings:
            Domain.objects.all().delete()
            return super().examine(plan, resolver)

    check_now(Vanishing(SYSTEM), domain.pk, asked_by=1)
    assert not Domain.objects.exists()


def test_check_now_keeps_its_time_limit(dns: LocalDNS, domain: Domain) -> None:
    for name in (
        "example.com",
        "rp.example.com",
        "_dmarc.example.com",
        f"postal-{domain.dkim_identifier}._domainkey.example.com",
    ):
        dns.fault(name, SILENT)
    began = time.monotonic()
    after = check_domain(domain, actor=SYSTEM, seconds=1)
    # Five questions would have five seconds each.
    assert time.monotonic() - began < 15
    assert set(statuses(after).values()) == {None}
    assert "the check's time limit of 1 seconds was reached" in after.dmarc_error


# --- Many ------------------------------------------------------------------------------------------------------------


class Counting(DomainChecks):
    """Counts how many checks run at once, and how often each name is checked. No check ends before all may."""

    def __init__(self, actor: Actor, may_end: threading.Event | None = None, *, together: int = 1) -> None:
        super().__init__(actor)
        self.lock = threading.Lock()
        self.running = self.most = 0
        self.names: list[str] = []
        self.together = together
        self.are_together = threading.Event()
        self.may_end = may_end or self.are_together

    def examine(self, plan: Expected, resolver: Resolver) -> Findings:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.names.append(plan.name)
            if self.running == self.together:
                self.are_together.set()
        try:
            # However busy the machine is: nobody leaves before so many have come.
            assert self.may_end.wait(30)
            return super().examine(plan, resolver)
        finally:
            with self.lock:
                self.running -= 1


def test_many_run_side_by_side_but_no_more_than_the_bound(dns: LocalDNS, server: Server) -> None:
    make_domains(server, 60)
    kind = Counting(SYSTEM, together=8)
    assert sweep.sweep(kind, parallel=8, seconds=60).checked == 60
    assert kind.most == 8
    assert sorted(kind.names) == sorted(f"d{index}.example" for index in range(60))
    assert not Domain.objects.filter(dns_checked_at=None).exists()


def test_a_limit_is_kept(dns: LocalDNS, server: Server) -> None:
    make_domains(server, 10)
    assert check_due_domains(seconds=30, limit=4).checked == 4
    assert Domain.objects.exclude(dns_checked_at=None).count() == 4
    assert not Domain.objects.exclude(dns_claim=None).exists()


def test_time_that_is_over_is_over(dns: LocalDNS, server: Server) -> None:
    make_domains(server, 10)
    assert check_due_domains(seconds=0).checked == 0
    assert not Domain.objects.exclude(dns_claim=None).exists()


def test_a_bug_in_one_check_does_not_stop_the_others(dns: LocalDNS, server: Server) -> None:
    class Buggy(DomainChecks):
        def examine(self, plan: Expected, resolver: Resolver) -> Findings:
            if plan.name == "d1.example":
                raise ZeroDivisionError("no such luck")
            return super().examine(plan, resolver)

    broken = make_domains(server, 3)[1]
    assert sweep.sweep(Buggy(SYSTEM), parallel=2, seconds=10).checked == 3
    broken.refresh_from_db()
    assert (broken.dns_claim, broken.dns_checked_at) == (None, None)
    assert broken.dns_next_check_at > timezone.now() + 60 * MINUTE
    assert Domain.objects.exclude(dns_checked_at=None).count() == 2


def test_what_is_known_of_many_takes_a_constant_number_of_queries(server: Server, django_assert_num_queries) -> None:
    ids = [domain.pk for domain in make_domains(server, 50)]
    # The domains with their servers, the rules, the addresses.
    with django_assert_num_queries(3):
        plans = expected_of_many(ids)
    assert len(plans) == 50
    # Domains that send by the same pools share the list of addresses.
    assert len({id(plan.sendings) for plan in plans.values()}) == 1


def test_make_due(settled: Domain) -> None:
    assert make_due(Domain.objects.all()) == 1
    settled.refresh_from_db()
    assert (settled.dns_next_check_at, settled.dns_streak) == (None, 0)
    assert set(statuses(settled).values()) == {"ok"}
    assert make_due(Domain.objects.all()) == 0


def test_make_due_plans_no_check_where_none_is_planned(settled: Domain) -> None:
    never = timezone.now() + 2 * UNPLANNED
    Domain.objects.update(dns_next_check_at=never)
    assert make_due(Domain.objects.all()) == 0
    settled.refresh_from_db()
    assert settled.dns_next_check_at == never


def test_what_changes_during_a_check_is_checked_again(dns: LocalDNS, settled: Domain) -> None:
    class Overtaken(DomainChecks):
        def examine(self, plan: Expected, resolver: Resolver) -> Findings:
            # "Check now" asks in the calling thread, so the test may use the database here.
            make_due(Domain.objects.all())
            return super().examine(plan, resolver)

    check_now(Overtaken(SYSTEM), settled.pk, asked_by=1)
    settled.refresh_from_db()
    assert (settled.dns_next_check_at, settled.dns_streak, settled.dns_claim) == (None, 0, None)
    assert check_due_domains(seconds=10).checked == 1
    settled.refresh_from_db()
    assert (settled.dns_next_check_at is not None, settled.dns_streak) == (True, 1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_check_one_domain_at_once(dns: LocalDNS, server: Server) -> None:
    make_domains(server, 40)
    may_end = threading.Event()
    kinds = [Counting(SYSTEM, may_end), Counting(SYSTEM, may_end)]

    def let_go() -> None:
        # Each has claimed what it can hold, and has begun: neither may do the other's work meanwhile.
        assert all(kind.are_together.wait(30) for kind in kinds)
        may_end.set()

    threading.Thread(target=let_go, daemon=True).start()

    def work(kind: Counting) -> int:
        try:
            return sweep.sweep(kind, parallel=4, seconds=30).checked
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        checked = list(threads.map(work, kinds))

    assert sum(checked) == 40
    assert sorted(kinds[0].names + kinds[1].names) == sorted(f"d{index}.example" for index in range(40))
    assert min(checked) >= 8
