"""POST /api/v1/servers/ip_pools/create"""

import datetime

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from core.models import AuditEntry
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.models import Credential
from servers.pools import grant_pool
from servers.provisioning import change_organization
from tests.api.postal.conftest import NO_KEY, SUSPENDED, SYSTEM, WRONG_KEY, error, golden, make_pool

pytestmark = pytest.mark.django_db
PATH = "servers/ip_pools/create"
THEN = datetime.datetime(2025, 5, 13, 14, 30, tzinfo=datetime.UTC)
NO_IPS = error("ParameterError", "Missing or invalid 'ips' parameter (must be an array)")


@pytest.fixture
def example(acme):
    """The page's organization, whose addresses are called `….example.postal`."""
    acme.organization.permalink = "example"
    acme.organization.save()
    return acme


def create(call, tenant, *ips, name="Apple"):
    data = call(PATH, {"name": name, "ips": list(ips)}, key=tenant.key)["data"]
    return data["ip_pool"], data.get("warnings")


def compare_with_document(answer, name):
    expected = golden(name)
    pool = IPPool.objects.get(name="Apple")
    ids = dict(IPAddress.objects.values_list("ipv4", "pk"))
    expected["data"]["ip_pool"] |= {"id": pool.pk, "uuid": str(pool.uuid)}
    for address in expected["data"]["ip_pool"]["ip_addresses"]:
        address["id"] = ids[address["ipv4"]]
    assert answer == expected
    assert list(answer["data"]["ip_pool"]) == list(expected["data"]["ip_pool"])


@pytest.mark.storage
def test_it_works(call, example):
    with time_machine.travel(THEN, tick=False):
        answer = call(PATH, {"name": "Apple", "ips": ["1.1.1.1", "2.2.2.2"]}, key=example.key)
    compare_with_document(answer, "ip-pools-create")
    # The organization may use it at once, for each dialect there is an address, and somebody is on record.
    assert [pool["name"] for pool in call("servers/ip_pools", key=example.key)["data"]["ip_pools"]] == ["Apple"]
    made = IPAddress.objects.get(ipv4="1.1.1.1")
    assert (made.name, made.template.name, made.priority, made.ipv6) == ("ip-1.1.1.1", "Default", 100, None)
    assert AuditEntry.objects.get(act="ip_pool.created").actor_kind == "credential"


@pytest.mark.storage
def test_it_works_with_warnings(call, example):
    with time_machine.travel(THEN, tick=False):
        answer = call(PATH, {"name": "Apple", "ips": ["1.1.1.1", "not-a-valid-ip"]}, key=example.key)
    compare_with_document(answer, "ip-pools-create-warnings")


def test_the_documents_errors(call, acme):
    create(call, acme, "1.1.1.1")
    taken = golden("ip-pools-create-taken")
    for name in ("Apple", "APPLE", " apple "):
        assert call(PATH, {"name": name, "ips": ["1.1.1.2"]}, key=acme.key) == taken
    assert call(PATH, {"ips": ["1.1.1.1"]}, key=acme.key) == golden("ip-pools-create-missing")
    Credential.objects.update(can_manage_organization=False)
    assert call(PATH, {"name": "B", "ips": ["1.1.1.1"]}, key=acme.key) == golden("ip-pools-create-denied")
    assert IPPool.objects.count() == IPAddress.objects.count() == 1


def test_addresses_keep_the_order_given(call, acme):
    create(call, acme, "3.3.3.3")
    pool, warnings = create(call, acme, "2.2.2.2", "3.3.3.3", "1.1.1.1", name="B")
    assert [address["ipv4"] for address in pool["ip_addresses"]] == ["2.2.2.2", "3.3.3.3", "1.1.1.1"]
    assert warnings is None


def test_a_repeated_address_counts_once_silently(call, acme):
    pool, warnings = create(call, acme, "1.1.1.1", "bad", "1.1.1.1", " 1.1.1.1 ", "bad")
    assert [address["ipv4"] for address in pool["ip_addresses"]] == ["1.1.1.1"]
    assert warnings == ["bad: Ipv4 is not a valid IPv4 address"]


def test_a_pool_without_any_good_address_is_made_all_the_same(call, acme):
    pool, warnings = create(call, acme, "bad")
    assert pool["ip_addresses"] == []
    assert warnings == ["bad: Ipv4 is not a valid IPv4 address"]
    assert IPPool.objects.get().name == "Apple"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("1.1.1", "1.1.1"),
        ("01.1.1.1", "01.1.1.1"),
        ("1.1.1.256", "1.1.1.256"),
        ("1.1.1.1/32", "1.1.1.1/32"),
        ("2001:db8::1", "2001:db8::1"),
        ("١.1.1.1", "١.1.1.1"),
        ("", ""),
        (16843009, "16843009"),
        (1.5, "1.5"),
        (None, "null"),
        (True, "true"),
        (["1.1.1.1"], '["1.1.1.1"]'),
        ({"a": 1}, '{"a":1}'),
    ],
    ids=repr,
)
def test_it_warns_of_what_is_no_address(call, acme, entry, text):
    pool, warnings = create(call, acme, entry, "1.1.1.1")
    assert [address["ipv4"] for address in pool["ip_addresses"]] == ["1.1.1.1"]
    assert warnings == [f"{text}: Ipv4 is not a valid IPv4 address"]


# --- addresses that exist ---------------------------------------------------------------------------------------------


def test_an_address_of_ones_own_is_used_again(call, acme):
    first, _ = create(call, acme, "1.1.1.1")
    second, warnings = create(call, acme, "1.1.1.1", name="B")
    assert second["ip_addresses"] == first["ip_addresses"]
    assert warnings is None


def test_an_address_in_no_pool_is_used(call, acme, globex):
    make_pool(globex.organization, "Old", "1.1.1.1")
    IPPoolMember.objects.all().delete()
    pool, warnings = create(call, acme, "1.1.1.1")
    # Reused as it is: its name stays.
    assert [address["hostname"] for address in pool["ip_addresses"]] == ["1-1-1-1.globex.postal"]
    assert warnings is None


def test_an_address_of_an_assigned_pool_is_used(call, acme, globex):
    theirs = make_pool(globex.organization, "Shared", "1.1.1.1")
    grant_pool(organization=acme.organization, pool=theirs, actor=SYSTEM)
    pool, warnings = create(call, acme, "1.1.1.1")
    assert len(pool["ip_addresses"]) == 1
    assert warnings is None


def test_an_address_of_others_only_is_taken(call, acme, globex):
    make_pool(globex.organization, "Theirs", "1.1.1.1")
    pool, warnings = create(call, acme, "1.1.1.1", "2.2.2.2")
    assert [address["ipv4"] for address in pool["ip_addresses"]] == ["2.2.2.2"]
    assert warnings == ["1.1.1.1: Ipv4 has already been taken"]


def test_names_are_each_organizations_own(call, acme, globex):
    create(call, globex, "1.1.1.1")
    pool, _ = create(call, acme, "2.2.2.2")
    assert pool["name"] == "Apple"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ips", [None, [], "1.1.1.1", "", {"0": "1.1.1.1"}, 5, True, '["1.1.1.1"]'], ids=repr)
def test_it_rejects_ips_that_are_no_array(call, acme, ips):
    assert call(PATH, {"name": "Apple", "ips": ips}, key=acme.key) == NO_IPS
    assert call(PATH, {"name": "Apple"}, key=acme.key) == NO_IPS
    assert not IPPool.objects.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "Missing required parameter 'name'"),
        ("", "Missing required parameter 'name'"),
        (" \t", "Missing required parameter 'name'"),
        (5, "Invalid 'name' parameter (must be a string)"),
        (["Apple"], "Invalid 'name' parameter (must be a string)"),
    ],
)
def test_it_rejects_a_wrong_name(call, acme, name, message):
    assert call(PATH, {"name": name, "ips": ["1.1.1.1"]}, key=acme.key) == error("ParameterError", message)


def test_it_rejects_a_long_name(call, acme):
    assert call(PATH, {"name": "x" * 201, "ips": ["1.1.1.1"]}, key=acme.key) == error(
        "ValidationError", "Name is too long (maximum is 200 characters)"
    )


def test_it_rejects_get(call, acme):
    query = "?name=Apple"
    assert call(PATH + query, key=acme.key, method="GET") == error(
        "MethodNotAllowed", "This URL does not answer this method"
    )


def test_it_rejects_wrong_keys(call, acme, suspended):
    parameters = {"name": "Apple", "ips": ["1.1.1.1"]}
    assert call(PATH, parameters) == NO_KEY
    assert call(PATH, parameters, key="wrong") == WRONG_KEY
    assert call(PATH, parameters, key=suspended.key) == SUSPENDED
    assert not IPPool.objects.exists()


@pytest.mark.parametrize("number", [1, 40])
def test_it_takes_a_constant_number_of_queries(call, acme, number, django_assert_num_queries):
    existing = [f"10.0.1.{index}" for index in range(number)]
    make_pool(acme.organization, "Existing", *existing)
    ips = [*existing, *(f"10.0.0.{index}" for index in range(number)), *(f"bad{index}" for index in range(number))]
    call("servers/list", key=acme.key)
    # 1 the key; 2 the organization; 3 is the name free; 4-6 which addresses exist, are in a pool, in one of ours; 7-8 the pool
    # and its audit entry; 9-11 the grant: look, make, audit; 12-14 are names and addresses free; 15 the template; 16-19 rule
    # sets, bases, addresses, audit entries; 20-22 the members: look, add, audit; 23-30 four savepoints, made and released;
    # 31 the pool notes that its members changed, so that domains are checked again; 32-35 the quota: whose pool, its
    # organization's row, which addresses it has already, and how many; 36 how many pools the organization has.
    # On PostgreSQL two more: the lock on addresses, taken by the pool's act and by the addresses'.
    with django_assert_num_queries(38 if connection.vendor == "postgresql" else 36):
        create(call, acme, *ips)


def test_it_rejects_more_than_one_request_may_make(call, acme):
    ips = [f"10.0.{number >> 8}.{number & 255}" for number in range(4_097)]
    expected = error("ValidationError", "Ips has too many entries (maximum is 4,096 in one request)")
    assert call(PATH, {"name": "Large", "ips": ips}, key=acme.key) == expected
    change_organization(at=timezone.now(), organization=acme.organization, max_addresses=2, actor=SYSTEM)
    expected = error("QuotaExceeded", "The organization may have at most 2 IP addresses in its own pools")
    assert call(PATH, {"name": "Large", "ips": ips[:3]}, key=acme.key) == expected
