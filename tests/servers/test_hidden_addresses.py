"""Addresses that the world does not see, in the records of a domain."""

import pytest
from django.utils import timezone

from ippools.addresses import NewAddress, create_one
from servers.dns_records import expected_of, records_of
from servers.domains import (
    create_domain,
    verify_domain,
)
from servers.models import Organization, Server
from servers.pools import add_members, create_pool
from servers.provisioning import change_server
from tests.dns_server import LocalDNS
from tests.servers.conftest import SYSTEM, zone_of

pytestmark = [pytest.mark.server, pytest.mark.storage]


@pytest.mark.parametrize("hidden", ["10.0.0.5", "127.0.0.1", "0.0.0.0", "224.0.0.1"])
def test_what_is_not_public_is_neither_published_nor_missed(
    dns: LocalDNS, acme: Organization, server: Server, hidden: str
) -> None:
    public = NewAddress(ipv4="10.0.0.99", hostname="nat.example", public_ipv4="203.0.113.77")
    address = create_one(public, actor=SYSTEM)
    pool = create_pool(organization=acme, name="Behind NAT", ips=[hidden, "192.0.2.9"], actor=SYSTEM).pool
    add_members(pool=pool, addresses=[address], actor=SYSTEM, organization_id=acme.pk)
    change_server(server=server, ip_pool=pool, actor=SYSTEM)
    domain = create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain

    spf = [each.value for each in records_of(expected_of(domain)) if each.purpose == "spf"]
    assert spf == ["v=spf1 ip4:192.0.2.9 ip4:203.0.113.77 ~all"]
    dns.load(zone_of(domain))
    assert verify_domain(domain=domain, actor=SYSTEM).spf_status == "ok"
