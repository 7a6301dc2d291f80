"""Names that others have proven."""

import pytest
from django.utils import timezone

from servers.domains import (
    ProvenElsewhere,
    create_domain,
    verification_string,
    verify_domain,
)
from servers.models import Domain, Organization, Server
from servers.provisioning import create_server, delete_server
from tests.dns_server import SERVFAIL, LocalDNS
from tests.servers.conftest import SYSTEM, zone_of
from tests.servers.test_domains import acts

pytestmark = [pytest.mark.server, pytest.mark.storage]


@pytest.fixture
def proven(dns: LocalDNS, domain: Domain) -> Domain:
    dns.load(zone_of(domain))
    return verify_domain(domain=domain, actor=SYSTEM)


def test_a_name_that_another_organization_has_proven_is_refused(proven: Domain, globex_server: Server) -> None:
    with pytest.raises(ProvenElsewhere) as refusal:
        create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM)

    text = refusal.value.verification_string
    assert text != verification_string(proven)
    assert refusal.value.message == (
        "example.com has been verified by another organization. If it is yours, publish the TXT record "
        f"“{text}” at example.com and try again."
    )
    assert not Domain.objects.filter(server=globex_server).exists()


def test_until_its_record_proves_it(dns: LocalDNS, proven: Domain, globex_server: Server) -> None:
    with pytest.raises(ProvenElsewhere) as refusal:
        create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM)
    dns.load(f'example.com. 60 IN TXT "{refusal.value.verification_string}"')
    domain = create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM).domain

    assert (domain.is_verified, domain.verification_status) == (True, "ok")
    assert acts(domain) == ["domain.created", "domain.verified"]
    # Whether the name has left its first owner is looked at by the next sweep.
    proven.refresh_from_db()
    assert (proven.is_verified, proven.dns_next_check_at) == (True, None)


def test_a_resolver_that_fails_proves_nothing(dns: LocalDNS, proven: Domain, globex_server: Server) -> None:
    dns.fault("example.com", SERVFAIL)
    with pytest.raises(ProvenElsewhere):
        create_domain(at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM)


def test_a_name_that_nobody_has_proven_is_free(domain: Domain, globex_server: Server) -> None:
    assert not create_domain(
        at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM
    ).domain.is_verified


def test_a_deleted_servers_proof_binds_nobody(proven: Domain, globex_server: Server) -> None:
    delete_server(server=proven.server, at=proven.created_at, actor=SYSTEM)
    assert not create_domain(
        at=timezone.now(), server=globex_server, name="example.com", actor=SYSTEM
    ).domain.is_verified


def test_the_same_organization_needs_no_second_proof_to_begin(proven: Domain, acme: Organization) -> None:
    second = create_server(organization=acme, name="Second", actor=SYSTEM).server
    twin = create_domain(at=timezone.now(), server=second, name="example.com", actor=SYSTEM).domain
    assert not twin.is_verified
    assert verify_domain(domain=twin, actor=SYSTEM).is_verified
