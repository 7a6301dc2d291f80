"""The cast of the statistics' tests: acme counts, globex must see nothing of it."""

import datetime
from dataclasses import dataclass

import pytest

from core.audit import Actor
from ippools.models import IPAddress, IPPool
from servers.models import Organization, Server
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server

NOW = datetime.datetime(2026, 3, 11, 15, 30, 20, tzinfo=datetime.UTC)  # a Wednesday
ACTOR = Actor.system()


@dataclass(frozen=True)
class Tenant:
    """An organization with one server, and one pool with its addresses."""

    organization: Organization
    server: Server
    pool: IPPool
    addresses: list[IPAddress]

    @property
    def smtp_user(self) -> str:
        return f"{self.organization.permalink}/{self.server.permalink}"


def make_tenant(name: str, *ips: str) -> Tenant:
    organization = create_organization(name=name, actor=ACTOR)
    created = create_pool(organization=organization, name="Main", ips=ips, actor=ACTOR)
    server = create_server(organization=organization, name="Mailer", mode="live", actor=ACTOR).server
    return Tenant(organization, server, created.pool, created.addresses)


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1", "192.0.2.2")


@pytest.fixture
def globex(db: None) -> Tenant:
    return make_tenant("Globex", "198.51.100.1")
