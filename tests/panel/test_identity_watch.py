"""How receivers know the addresses of a pool (DNS identity, blocklists, SPF), and who is told of whose domains."""

import pytest
from django.urls import reverse

from ippools.models import AddressIdentity, Blocklist, IPAddress, Listing
from servers.models import Domain, Server
from servers.pool_rules import create_rule
from servers.pools import add_members, grant_pool
from servers.provisioning import create_server
from servers.spf_coverage import Coverage, of_pools
from tests.factories import DomainFactory
from tests.panel.conftest import NOW, SYSTEM, sign_in

POOL = "admin:ippools_ippool_change"


def page_of(client, pool):
    return client.get(reverse(POOL, args=[pool.pk])).content.decode()


def domain(server, name, spf):
    return DomainFactory(server=server, name=name, spf_status=spf, outgoing=True)


@pytest.fixture
def shared(acme, globex, platform):
    """A pool of the platform's with an address, by which both tenants send."""
    add_members(pool=platform.pool, addresses=[platform.address], actor=SYSTEM)
    Domain.objects.all().delete()
    for tenant in (acme, globex):
        grant_pool(organization=tenant.organization, pool=platform.pool, actor=SYSTEM)
        create_rule(owner=tenant.server, pool=platform.pool, from_conditions=["a.example"], actor=SYSTEM)
    domain(acme.server, "good.example", "ok")
    domain(acme.server, "bad.example", "invalid")
    domain(acme.server, "new.example", None)
    domain(globex.server, "theirs.example", "missing")
    return platform.pool


def test_it_sums_up_and_tells_each_tenant_of_its_own(shared, acme, globex, platform, root):
    assert (found := of_pools([shared.pk], Server.objects.all())).total == 4
    assert (found.passing, found.unknown, found.failing_total) == (1, 1, 2)
    # The statement that is made once, of all servers, gives the same.
    assert [of_pools([shared.pk]) for _ in range(2)] == [found] * 2
    assert of_pools([0, acme.pool.pk]) == of_pools([0, acme.pool.pk], Server.objects.all())
    assert [each.name for each in found.failing] == ["bad.example", "theirs.example"]
    page = page_of(root, shared)
    assert "1 of 4 pass" in page
    assert "theirs.example" in page
    page = page_of(sign_in(acme.owner), shared)
    assert "1 of 3 pass" in page
    assert "bad.example" in page
    assert "theirs.example" not in page
    assert "0 of 1 pass" in page_of(sign_in(globex.owner), shared)
    address = reverse("admin:ippools_ipaddress_change", args=[platform.address.pk])
    assert "1 of 3 pass" in sign_in(acme.owner).get(address).content.decode()
    assert "1 of 4 pass" in root.get(address).content.decode()


def test_domains_that_do_not_send_by_it_do_not_count(acme, globex, platform):
    Domain.objects.all().delete()
    domain(acme.server, "bad.example", "invalid")
    assert of_pools([platform.pool.pk], Server.objects.all()) == Coverage()
    assert of_pools([], Server.objects.all()) == Coverage()
    assert of_pools([acme.pool.pk], Server.objects.all()).total == 1
    Domain.objects.update(outgoing=False)
    assert of_pools([acme.pool.pk], Server.objects.all()) == Coverage()


def test_a_rule_of_the_organization_counts_for_all_its_servers(acme, platform):
    Domain.objects.all().delete()
    other = create_server(organization=acme.organization, name="Second", actor=SYSTEM).server
    domain(other, "second.example", "ok")
    grant_pool(organization=acme.organization, pool=platform.pool, actor=SYSTEM)
    create_rule(owner=acme.organization, pool=platform.pool, from_conditions=["a.example"], actor=SYSTEM)
    assert of_pools([platform.pool.pk], Server.objects.all()) == Coverage(total=1, passing=1)


def test_wrong_identities_and_listings_are_named(acme, platform, root):
    AddressIdentity.objects.update_or_create(
        ip_address=acme.address, defaults={"ptr_status": "missing", "fcrdns_status": "missing", "helo_status": "ok"}
    )
    row = Listing.objects.create(
        blocklist=Blocklist.objects.get(), address=acme.address, listing_status="invalid", listed=acme.address.ipv4,
        first_seen_at=NOW, last_seen_at=NOW,
    )  # fmt: skip
    page = page_of(root, acme.pool)
    assert "PTR missing, FCrDNS missing" in page
    # A zone that is not believed lists nobody.
    assert "no listing known" in page
    Blocklist.objects.update(zone_status="ok")
    page = page_of(sign_in(acme.owner), acme.pool)
    assert "1 listing<" in page
    assert row.blocklist.name in page
    total = IPAddress.objects.filter(memberships__pool=acme.pool).count()
    assert f"0 of {total} right" in page
