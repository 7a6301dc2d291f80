"""Acts that change which addresses mail leaves by: the domains concerned are due at once, and keep their statuses."""

import datetime

import pytest
from django.utils import timezone

from ippools import identity, ip_addresses
from ippools.addresses import NewAddress, create_one
from ippools.models import AddressIdentity, IPAddress, IPPool
from servers.due_domains import recheck_domains_of_changed_pools
from servers.models import Domain, IPPoolRule, Organization, Server
from servers.pool_rules import change_rule, create_rule, delete_rule
from servers.pools import add_members, create_pool, remove_members
from servers.provisioning import change_server, create_server
from tests.servers.conftest import SYSTEM

pytestmark = pytest.mark.storage

FAR, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)


@pytest.fixture
def cast(acme: Organization, globex: Organization, pool: IPPool) -> dict[str, Server]:
    """Servers with a domain each: one by the pool, one by its own rule, one by no rule, and one of another organization."""
    other = create_pool(organization=acme, name="Other", ips=["203.0.113.5"], actor=SYSTEM).pool
    servers = {
        "by-pool": create_server(organization=acme, name="By pool", pool=pool, actor=SYSTEM).server,
        "by-rule": create_server(organization=acme, name="By rule", pool=other, actor=SYSTEM).server,
        "apart": create_server(organization=acme, name="Apart", pool=other, actor=SYSTEM).server,
        "globex": create_server(organization=globex, name="Globex", actor=SYSTEM).server,
    }
    create_rule(owner=servers["by-rule"], pool=pool, to_conditions=["gmail.com"], actor=SYSTEM)
    Domain.objects.bulk_create(
        Domain(server=server, name=f"{name}.example", verified_at=timezone.now(), spf_status="ok")
        for name, server in servers.items()
    )
    settle()
    return servers


def settle() -> None:
    """All changes so far were seen by a check an hour ago, and the next one is far."""
    now = timezone.now()
    Domain.objects.update(dns_checked_at=now - HOUR, dns_next_check_at=now + FAR, dns_streak=7)
    IPPool.objects.update(members_changed_at=None)
    IPAddress.objects.update(sender_changed_at=None)


def due() -> set[str]:
    """The domains that the next sweep will check; nothing else of any domain has changed."""
    recheck_domains_of_changed_pools(at=timezone.now())
    assert not Domain.objects.exclude(spf_status="ok", verified_at__isnull=False).exists()
    found = Domain.objects.due(timezone.now())
    assert set(found.values_list("dns_streak", flat=True)) <= {0}
    assert set(Domain.objects.exclude(pk__in=found).values_list("dns_streak", flat=True)) <= {7}
    return {name.removesuffix(".example") for name in found.values_list("name", flat=True)}


def new_address(ipv4: str = "192.0.2.77") -> IPAddress:
    return create_one(NewAddress(ipv4=ipv4, hostname="h.acme.postal"), actor=SYSTEM)


def test_new_members_of_a_pool(cast: dict[str, Server], pool: IPPool) -> None:
    address = new_address()
    add_members(pool=pool, addresses=[address], actor=SYSTEM)
    assert due() == {"by-pool", "by-rule"}
    settle()
    add_members(pool=pool, addresses=[address], actor=SYSTEM)
    assert due() == set()


def test_members_that_leave_a_pool(cast: dict[str, Server], pool: IPPool) -> None:
    remove_members(pool=pool, addresses=list(pool.addresses.all()[:1]), actor=SYSTEM)
    assert due() == {"by-pool", "by-rule"}
    settle()
    remove_members(pool=pool, addresses=[new_address()], actor=SYSTEM)
    assert due() == set()


def test_an_organizations_rule_concerns_all_its_servers(
    cast: dict[str, Server], acme: Organization, pool: IPPool
) -> None:
    IPPoolRule.objects.all().delete()
    rule = create_rule(owner=acme, pool=pool, from_conditions=["apart.example"], actor=SYSTEM)
    everyone = {"by-pool", "by-rule", "apart"}
    assert due() == everyone
    for act in (
        lambda: add_members(pool=pool, addresses=[new_address()], actor=SYSTEM),
        lambda: change_rule(rule=rule, from_conditions=["by-pool.example"], actor=SYSTEM),
        lambda: delete_rule(rule=rule, actor=SYSTEM),
    ):
        settle()
        assert due() == set()
        act()
        assert due() == everyone


def test_a_servers_rule(cast: dict[str, Server], pool: IPPool) -> None:
    rule = create_rule(owner=cast["apart"], pool=pool, to_conditions=["gmail.com"], actor=SYSTEM)
    assert due() == {"apart"}
    settle()
    change_rule(rule=rule, to_conditions=["example.net"], actor=SYSTEM)
    assert due() == {"apart"}
    settle()
    delete_rule(rule=rule, actor=SYSTEM)
    assert due() == {"apart"}


def test_a_servers_pool(cast: dict[str, Server], pool: IPPool) -> None:
    change_server(server=cast["apart"], ip_pool=pool, actor=SYSTEM)
    assert due() == {"apart"}
    settle()
    change_server(server=cast["apart"], ip_pool=pool, actor=SYSTEM)
    change_server(server=cast["apart"], name="Renamed", actor=SYSTEM)
    assert due() == set()
    change_server(server=cast["apart"], ip_pool=None, actor=SYSTEM)
    assert due() == {"apart"}


@pytest.mark.parametrize("changes", [{"ipv4": "192.0.2.99"}, {"ipv6": "2001:db8::1"}, {"hostname": "new.acme.postal"}])
def test_an_address_that_is_another_or_says_another_name(cast: dict[str, Server], pool: IPPool, changes: dict) -> None:
    address = pool.addresses.first()
    assert address is not None
    AddressIdentity.objects.create(
        ip_address=address,
        ptr_status="ok",
        dns_checked_at=timezone.now() - HOUR,
        dns_next_check_at=timezone.now() + FAR,
        dns_streak=7,
    )
    ip_addresses.change(address.pk, actor=SYSTEM, **changes)
    assert due() == {"by-pool", "by-rule"}
    identity.recheck_changed(at=timezone.now())
    found = AddressIdentity.objects.get()
    assert (found.dns_next_check_at, found.dns_streak, found.ptr_status) == (None, 0, "ok")


def test_a_check_after_the_change_is_enough(cast: dict[str, Server], pool: IPPool) -> None:
    address = pool.addresses.first()
    assert address is not None
    AddressIdentity.objects.create(ip_address=address, dns_checked_at=timezone.now() - HOUR, dns_next_check_at=None)
    ip_addresses.change(address.pk, hostname="new.acme.postal", actor=SYSTEM)
    # One that ended at once may have begun before it.
    for moment, is_due in ((datetime.timedelta(seconds=1), True), (datetime.timedelta(minutes=2), False)):
        checked = {"dns_checked_at": timezone.now() + moment, "dns_next_check_at": timezone.now() + FAR}
        Domain.objects.update(**checked, dns_streak=7)
        AddressIdentity.objects.update(**checked)
        identity.recheck_changed(at=timezone.now())
        assert due() == ({"by-pool", "by-rule"} if is_due else set())
        assert (AddressIdentity.objects.get().dns_next_check_at is None) is is_due


def test_a_sweep_without_changes_costs_one_query(cast: dict[str, Server], django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        recheck_domains_of_changed_pools(at=timezone.now())


def test_what_dns_does_not_see(cast: dict[str, Server], pool: IPPool) -> None:
    address = pool.addresses.first()
    assert address is not None
    later = timezone.now() + FAR
    AddressIdentity.objects.create(ip_address=address, dns_next_check_at=later)
    ip_addresses.change(
        address.pk,
        ipv4=address.ipv4,
        ipv6=address.ipv6,
        hostname=address.hostname,
        priority=3,
        name="renamed",
        actor=SYSTEM,
    )
    identity.recheck_changed(at=timezone.now())
    assert due() == set()
    assert AddressIdentity.objects.get().dns_next_check_at == later


def test_any_number_of_domains_takes_two_queries(
    cast: dict[str, Server], pool: IPPool, django_assert_max_num_queries
) -> None:
    address = pool.addresses.first()
    assert address is not None
    server = cast["by-pool"]
    Domain.objects.bulk_create(
        Domain(server=server, name=f"d{n}.example", verified_at=timezone.now(), spf_status="ok") for n in range(200)
    )
    settle()
    # Savepoint, the members, their deletion, the pool's time; the owner; the audit trail; the savepoint's release.
    with django_assert_max_num_queries(8):
        remove_members(pool=pool, addresses=[address], actor=SYSTEM)
    # The pools that changed; a savepoint, the domains' rows locked and made due, its release.
    with django_assert_max_num_queries(5):
        recheck_domains_of_changed_pools(at=timezone.now())
    assert len(due()) == 202
