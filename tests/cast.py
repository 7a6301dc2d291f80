"""The people of the tests: tenants with their servers and keys, and how to make more."""

import datetime
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import timezone

from core.audit import Actor
from core.encryption import decrypt
from core.models import AuditEntry
from ippools.models import IPAddress, IPPool
from servers.models import Organization, Server
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server

# A Wednesday: today, this week, this month and this year all differ.
NOW = datetime.datetime(2026, 11, 18, 10, 30, 15, 250_000, tzinfo=datetime.UTC)
SYSTEM = Actor.system()
# Who acts in a test that looks at the audit trail.
ANN = Actor("user", 7, "ann")


@dataclass(frozen=True)
class Tenant:
    """A server with its API key, the organization around it, and its pool with its addresses, where it was given some."""

    organization: Organization
    server: Server
    key: str
    pool: IPPool | None = None
    addresses: list[IPAddress] = field(default_factory=list)

    @property
    def smtp_user(self) -> str:
        return f"{self.organization.permalink}/{self.server.permalink}"


def make_server(organization: Organization, name: str, **parameters: Any) -> Tenant:
    """Make a server as its organization's people would."""
    created = create_server(organization=organization, name=name, actor=SYSTEM, **parameters)
    return Tenant(organization, created.server, decrypt(created.api_credential.key_ciphertext))


def make_tenant(name: str, *ips: str, server: str = "Mailer", permalink: str = "") -> Tenant:
    """Make an organization with one server; with addresses, they are in a pool of its own."""
    organization = create_organization(at=timezone.now(), name=name, permalink=permalink, actor=SYSTEM)
    if not ips:
        return make_server(organization, server)
    made = create_pool(organization=organization, name="Main", ips=ips, actor=SYSTEM)
    return replace(make_server(organization, server), pool=made.pool, addresses=made.addresses)


def make_pool(organization: Organization, name: str, *ips: str) -> IPPool:
    """Make a pool of the organization's own, with these addresses."""
    return create_pool(organization=organization, name=name, ips=ips, actor=SYSTEM).pool


def written_by(actor: Actor) -> list[tuple[str, str, int | None]]:
    """Return what the audit trail says this actor did, oldest first: the act, the target's label, whose it is."""
    entries = AuditEntry.objects.filter(actor_kind=actor.kind, actor_id=actor.id, actor_label=actor.label)
    return list(entries.order_by("pk").values_list("act", "target_label", "organization_id"))


def last_entry() -> AuditEntry:
    """Return the newest entry of the audit trail."""
    return AuditEntry.objects.latest("pk")
