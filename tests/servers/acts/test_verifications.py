"""The periods in which servers had domains verified, as acts and checks write them."""

import datetime

import pytest

from dnschecks.checked import DNSStatus
from dnschecks.findings import Finding
from servers import verifications
from servers.domain_checks import DomainChecks
from servers.domains import create_domain, delete_domain
from servers.models import Domain, DomainVerification, Server
from servers.provisioning import delete_server, restore_server
from tests.cast import ANN, NOW, SYSTEM

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOUR = datetime.timedelta(hours=1)
MOMENT = datetime.timedelta(microseconds=1)


@pytest.fixture
def domain(acme) -> Domain:
    return create_domain(server=acme.server, name="example.com", at=NOW, actor=SYSTEM).domain


def check(domain: Domain, status: DNSStatus | None, at: datetime.datetime) -> None:
    """Write what a check found, as the sweep does."""
    domain.refresh_from_db()
    written = DomainChecks(SYSTEM).write(domain, {"verification": Finding(status)}, at)
    if written:
        Domain.objects.filter(pk=domain.pk).update(**written)


def periods() -> list[tuple[str, str, datetime.datetime, datetime.datetime | None]]:
    rows = DomainVerification.objects.order_by("since", "pk")
    return list(rows.values_list("server__name", "name", "since", "until"))


def test_checks_begin_and_end_periods(acme, domain):
    name = acme.server.name
    assert periods() == []
    check(domain, DNSStatus.OK, NOW)
    check(domain, DNSStatus.OK, NOW + HOUR)
    check(domain, None, NOW + HOUR)
    assert periods() == [(name, "example.com", NOW, None)]
    check(domain, DNSStatus.MISSING, NOW + 2 * HOUR)
    check(domain, DNSStatus.MISSING, NOW + 3 * HOUR)
    assert periods() == [(name, "example.com", NOW, NOW + 2 * HOUR)]
    check(domain, DNSStatus.OK, NOW + 4 * HOUR)
    assert periods() == [
        (name, "example.com", NOW, NOW + 2 * HOUR),
        (name, "example.com", NOW + 4 * HOUR, None),
    ]


def test_a_deleted_domain_keeps_its_period_and_one_that_was_never_verified_has_none(acme, globex, domain):
    other = create_domain(server=globex.server, name="example.com", at=NOW, actor=SYSTEM).domain
    check(domain, DNSStatus.OK, NOW)
    check(other, DNSStatus.OK, NOW + HOUR)
    delete_domain(domain=domain, at=NOW + 2 * HOUR, actor=ANN)
    delete_domain(
        domain=create_domain(server=acme.server, name="never.example", at=NOW, actor=SYSTEM).domain, at=NOW, actor=ANN
    )
    assert periods() == [
        (acme.server.name, "example.com", NOW, NOW + 2 * HOUR),
        (globex.server.name, "example.com", NOW + HOUR, None),
    ]


def test_clocks_that_differ_make_no_period_that_ends_before_it_began(acme, domain):
    check(domain, DNSStatus.OK, NOW)
    check(domain, DNSStatus.MISSING, NOW - HOUR)
    check(domain, DNSStatus.OK, NOW - HOUR)
    delete_domain(domain=domain, at=NOW - HOUR, actor=ANN)
    name = acme.server.name
    assert periods() == [
        (name, "example.com", NOW, NOW + MOMENT),
        (name, "example.com", NOW + MOMENT, NOW + 2 * MOMENT),
    ]


def test_a_server_that_was_deleted_meanwhile_begins_anew(acme, globex, domain):
    theirs = create_domain(server=globex.server, name="globex.example", at=NOW, actor=SYSTEM).domain
    unverified = create_domain(server=acme.server, name="unverified.example", at=NOW, actor=SYSTEM).domain
    check(domain, DNSStatus.OK, NOW)
    check(theirs, DNSStatus.OK, NOW)
    delete_server(server=acme.server, at=NOW + HOUR, actor=ANN)
    # Of a check that was under way.
    DomainVerification.objects.create(server=acme.server, name=unverified.name, since=NOW + 2 * HOUR)
    restore_server(server=Server.objects.get(pk=acme.server.pk), at=NOW + 3 * HOUR, actor=ANN)
    assert sorted(periods(), key=lambda each: (each[2], each[1])) == [
        (acme.server.name, "example.com", NOW, NOW + HOUR),
        (globex.server.name, "globex.example", NOW, None),
        (acme.server.name, "example.com", NOW + 3 * HOUR, None),
    ]


def test_the_number_of_periods_is_limited_and_the_first_is_kept(acme, globex, domain, monkeypatch):
    monkeypatch.setattr(verifications, "MOST_PERIODS", 4)
    DomainVerification.objects.create(server=globex.server, name="example.com", since=NOW)
    for number in range(0, 20, 2):
        check(domain, DNSStatus.OK, NOW + number * HOUR)
        check(domain, DNSStatus.MISSING, NOW + (number + 1) * HOUR)
    mine = DomainVerification.objects.filter(server=acme.server).order_by("since")
    assert [(since - NOW) // HOUR for since in mine.values_list("since", flat=True)] == [0, 14, 16, 18]
    assert DomainVerification.objects.filter(server=globex.server).count() == 1
