"""The cast: acme with a server that sends by a pool, globex beside it."""

import pytest
from django.utils import timezone

from core.audit import Actor
from ippools.models import IPPool
from servers.dns_records import expected_of, records_of
from servers.domains import create_domain
from servers.models import Domain, Organization, Server
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server
from servers.zone_file import zone_file

SYSTEM = Actor.system()
POOL = ["192.0.2.1", "192.0.2.2", "198.51.100.7"]


@pytest.fixture
def acme(db) -> Organization:
    return create_organization(at=timezone.now(), name="ACME Inc", permalink="acme", actor=SYSTEM)


@pytest.fixture
def globex(db) -> Organization:
    return create_organization(at=timezone.now(), name="Globex", permalink="globex", actor=SYSTEM)


@pytest.fixture
def pool(acme: Organization) -> IPPool:
    return create_pool(organization=acme, name="Main", ips=POOL, actor=SYSTEM).pool


@pytest.fixture
def server(acme: Organization, pool: IPPool) -> Server:
    return create_server(organization=acme, name="Mail", pool=pool, actor=SYSTEM).server


@pytest.fixture
def globex_server(globex: Organization) -> Server:
    return create_server(organization=globex, name="Mail", actor=SYSTEM).server


@pytest.fixture
def domain(server: Server) -> Domain:
    return create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain


def zone_of(domain: Domain) -> str:
    """The domain's records as Sluice exports them."""
    return zone_file(domain.name, records_of(expected_of(domain)))


def statuses(domain: Domain) -> dict[str, str | None]:
    checks = ("verification", "spf", "dkim", "return_path", "mx", "dmarc")
    return {check: getattr(domain, f"{check}_status") for check in checks}
