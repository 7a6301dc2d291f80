"""Quotas: what an organization may have at most; exact under races, and what is given up is free again."""

import datetime

import pytest
from django.utils import timezone

from core.errors import Fault, Invalid, QuotaExceeded
from ippools.models import IPPool
from servers import credentials, domains, pool_addresses, pools, provisioning, quotas, routes, webhooks
from servers.models import Server
from tests.cast import ANN, NOW
from tests.factories import OrganizationFactory
from tests.races import at_once, in_the_open

AT = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


def organization_with(**limits):
    return OrganizationFactory(**limits)


def server_of(organization, name="Mail"):
    return provisioning.create_server(organization=organization, name=name, actor=ANN).server


def pool_of(organization, name, *ips):
    return pools.create_pool(organization=organization, name=name, ips=list(ips), actor=ANN).pool


def refusal(act):
    with pytest.raises(QuotaExceeded) as refused:
        act()
    return refused.value.message


@pytest.mark.django_db
def test_servers():
    organization = organization_with(max_servers=2)
    first, _ = server_of(organization, "A"), server_of(organization, "B")
    assert refusal(lambda: server_of(organization, "C")) == "The organization may have at most 2 servers"
    # One that exists is no creation.
    assert provisioning.create_server(organization=organization, name="a", actor=ANN).already_exists
    provisioning.delete_server(server=first, at=AT, actor=ANN)
    server_of(organization, "C")
    refusal(lambda: provisioning.restore_server(server=first, at=timezone.now(), actor=ANN))
    assert Server.objects.living().filter(organization=organization).count() == 2


@pytest.mark.django_db
def test_the_platforms_default(settings):
    settings.SLUICE_QUOTAS = {**settings.SLUICE_QUOTAS, "max_servers": 1}
    organization = organization_with()
    server_of(organization, "A")
    refusal(lambda: server_of(organization, "B"))
    provisioning.change_organization(at=timezone.now(), organization=organization, max_servers=2, actor=ANN)
    server_of(organization, "B")
    refusal(lambda: server_of(organization, "C"))


@pytest.mark.django_db
def test_parts_of_servers():
    organization = organization_with(max_credentials=1, max_webhooks=1, max_domains=1)
    # Their default credentials do not count.
    one, other = server_of(organization, "A"), server_of(organization, "B")

    def add(server, number):
        yield lambda: credentials.create_credential(server=server, kind="api", name="K", actor=ANN)
        yield lambda: webhooks.create_webhook(server=server, name="W", url="https://a.example/", actor=ANN)
        yield lambda: domains.create_domain(server=server, name=f"d{number}.example", at=AT, actor=ANN)

    for act in add(one, 1):
        act()
    assert [refusal(act) for act in add(other, 2)] == [
        "The organization may have at most 1 credentials",
        "The organization may have at most 1 webhooks",
        "The organization may have at most 1 domains",
    ]
    assert refusal(
        lambda: credentials.create_network_credential(server=one, name="N", network="192.0.2.0/24", at=NOW, actor=ANN)
    ) == ("The organization may have at most 1 credentials")
    # What a deleted server had is free.
    provisioning.delete_server(server=one, at=AT, actor=ANN)
    for act in add(other, 2):
        act()


@pytest.mark.django_db
def test_a_server_has_few_webhooks(monkeypatch):
    monkeypatch.setattr(webhooks, "MOST_OF_A_SERVER", 1)
    organization = organization_with()
    one, other = server_of(organization, "A"), server_of(organization, "B")
    for server in (one, other):
        webhooks.create_webhook(server=server, name="W", url="https://a.example/", actor=ANN)
    refused = refusal(lambda: webhooks.create_webhook(server=one, name="X", url="https://a.example/", actor=ANN))
    assert refused == "A server may have at most 1 webhooks"
    assert one.webhooks.count() == 1


@pytest.mark.django_db
def test_a_server_has_few_routes(monkeypatch):
    monkeypatch.setattr(routes, "MOST_OF_A_SERVER", 1)
    organization = organization_with()
    one, other = server_of(organization, "A"), server_of(organization, "B")
    for server in (one, other):
        routes.create_route(server=server, name="info", mode="accept", actor=ANN)
    refused = refusal(lambda: routes.create_route(server=one, name="sales", mode="accept", actor=ANN))
    assert refused == "A server may have at most 1 routes"


@pytest.mark.django_db
def test_an_organization_has_few_pools(monkeypatch):
    """Empty ones, of which no quota told, were made without end by one key."""
    monkeypatch.setattr(pools, "MOST_POOLS", 1)
    organization = organization_with()
    pool_of(organization, "One", "no address")
    assert refusal(lambda: pool_of(organization, "Two")) == "The organization may have at most 1 IP pools of its own"
    pool_of(organization_with(), "Two")


@pytest.mark.django_db
def test_addresses_of_its_own_pools_count_once():
    organization = organization_with(max_addresses=2)
    pool_of(organization, "One", "192.0.2.1", "192.0.2.2")
    second = pool_of(organization, "Two", "192.0.2.1")
    message = "The organization may have at most 2 IP addresses in its own pools"
    assert refusal(lambda: pool_of(organization, "Three", "192.0.2.3")) == message
    assert not IPPool.objects.filter(name="Three").exists()
    assert refusal(lambda: pool_addresses.add_pasted(pool=second, text="192.0.2.2-192.0.2.3", actor=ANN)) == message
    assert pool_addresses.add_pasted(pool=second, text="192.0.2.2", actor=ANN).total == 1
    # The platform's pools are nobody's quota.
    shared = pools.create_platform_pool(name="Shared", actor=ANN)
    assert pool_addresses.add_pasted(pool=shared, text="198.51.100.0/24", actor=ANN).total == 254


@pytest.mark.django_db
def test_creations_without_a_key_have_an_hour():
    organization = organization_with(max_keyless_creations_an_hour=1)
    now = timezone.now()

    def keyless(name, at):
        return provisioning.create_server(
            organization=organization, name=name, actor=quotas.WITHOUT_A_KEY, keyless_at=at
        )

    keyless("A", now)
    server_of(organization, "By key")
    message = "The organization may make at most 1 servers an hour without a key"
    assert refusal(lambda: keyless("B", now)) == message
    assert keyless("a", now).already_exists
    keyless("B", now + quotas.HOUR + datetime.timedelta(minutes=1))


@pytest.mark.django_db
def test_one_request_makes_only_so_many_addresses(django_assert_num_queries):
    organization = organization_with()
    texts = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(60_000)]
    # Before any lock is taken.
    with django_assert_num_queries(3), pytest.raises(Invalid) as refused:  # a savepoint, undone and released
        pool_of(organization, "Large", *texts)
    assert refused.value.faults == (Fault("ips", "has too many entries (maximum is 4,096 in one request)"),)


@pytest.mark.django_db
def test_limits_that_cannot_be_stored_are_refused():
    organization = organization_with()
    for limit in (-1, 2**31):
        with pytest.raises(Invalid, match="max_domains must be from 0 to 2147483647"):
            provisioning.change_organization(at=timezone.now(), organization=organization, max_domains=limit, actor=ANN)


@pytest.mark.django_db
def test_what_is_used_is_told():
    organization = organization_with(max_servers=5)
    server_of(organization)
    assert quotas.usage_of(organization)[:2] == [
        quotas.Usage("servers", 1, 5, is_own=True),
        quotas.Usage("domains", 0, 100_000, is_own=False),
    ]


@pytest.mark.parametrize("kind", ["servers", "addresses"])
class TestRaces:
    """Real threads and connections."""

    pytestmark = in_the_open

    def test_they_are_exact(self, kind):
        organization = organization_with(max_servers=3, max_addresses=3)

        def create(number):
            if kind == "servers":
                server_of(organization, f"S{number}")
            else:
                pool_of(organization, f"P{number}", f"192.0.2.{number}")

        outcomes = at_once(*[lambda number=number: create(number) for number in range(1, 7)])
        assert sorted(type(each).__name__ for each in outcomes) == ["NoneType"] * 3 + ["QuotaExceeded"] * 3
