"""GET|POST /api/v1/organizations/list, show, statistics and ip_allocation"""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Server
from servers.pools import grant_pool
from servers.provisioning import delete_server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from tests.api.postal.conftest import NOW, SYSTEM, error, golden_family, make_pool, make_server, parameter_error
from tests.api.postal.counts import count_address, count_server

pytestmark = pytest.mark.django_db
UNKNOWN = error("InvalidOrganization", "The organization could not be found with the provided UUID")


@pytest.fixture
def furnished(acme, globex):
    """The organization of our own examples: two servers, one pool, some mail; a deleted server that counts for nothing."""
    make_server(acme.organization, "Marketing Server")
    gone = make_server(acme.organization, "Gone").server
    pool = make_pool(acme.organization, "Main Pool", "192.0.2.10", "192.0.2.11")
    Server.objects.filter(pk__in=[acme.server.pk, gone.pk]).update(ip_pool=pool)
    delete_server(server=gone, at=NOW, actor=SYSTEM)
    make_pool(globex.organization, "Theirs", "192.0.2.60")
    count_address("192.0.2.10", NOW, 5000)
    count_address("192.0.2.11", NOW, 210)
    for server in (acme.server, gone, globex.server):
        count_server(server, NOW - datetime.timedelta(days=4), incoming=5300, sent=5210, bounced=60, deferred=9)
        minute = buckets.minute_of(NOW)
        for at, sent in ((minute - 2, 1000), (minute - 1, 150), (minute, 3000)):
            ServerCount.objects.create(grain=Grain.MINUTE, bucket=at, server_id=server.pk, sent=sent)
    return acme


def expected_of(name, tenant):
    """The example of the OpenAPI document, with our ids in it."""
    text = golden_family(name, as_text=True)
    example = golden_family("organizations-ip-allocation")["data"]
    text = text.replace(example["organization"]["uuid"], str(tenant.organization.uuid))
    for shape in example["servers"]:
        uuid = Server.objects.get(organization=tenant.organization, name=shape["name"]).uuid
        text = text.replace(shape["uuid"], str(uuid))
    pool = tenant.organization.organization_pools.get().pool
    return text.replace(example["ip_pools"][0]["uuid"], str(pool.uuid)), pool


@pytest.mark.storage
@pytest.mark.parametrize("name", ["list", "show"])
def test_the_keys_own_organization(call, furnished, name):
    expected, _ = expected_of(f"organizations-{name}", furnished)
    assert call(f"organizations/{name}", key=furnished.key) == golden_family(text=expected)


@pytest.mark.storage
@pytest.mark.parametrize("parameter", ["uuid", "organization_uuid"])
def test_statistics(call, furnished, parameter):
    text, pool = expected_of("organizations-statistics", furnished)
    expected = golden_family(text=text)
    ids = dict(pool.addresses.values_list("ipv4", "pk"))
    for address in expected["data"]["statistics"]["ip_addresses"]:
        address["id"] = ids[address["ipv4"]]
    uuid = str(furnished.organization.uuid)
    assert call("organizations/statistics", {parameter: uuid.upper()}, key=furnished.key) == expected


@pytest.mark.storage
def test_ip_allocation(call, furnished):
    expected, _ = expected_of("organizations-ip-allocation", furnished)
    uuid = str(furnished.organization.uuid)
    answer = call(f"organizations/ip_allocation?uuid={uuid}", key=furnished.key, method="GET")
    assert answer == golden_family(text=expected)


def test_addresses_in_several_pools_stand_once(call, acme, globex):
    make_pool(acme.organization, "A", "10.0.0.1", "10.0.0.2")
    make_pool(acme.organization, "B", "10.0.0.1")
    shared = make_pool(globex.organization, "Shared", "10.0.0.9")
    grant_pool(organization=acme.organization, pool=shared, actor=SYSTEM)
    payload = {"uuid": str(acme.organization.uuid)}
    data = call("organizations/ip_allocation", payload, key=acme.key)["data"]
    assert [(row["ipv4"], row["ip_pools"]) for row in data["ip_addresses"]] == [
        ("10.0.0.1", ["A", "B"]),
        ("10.0.0.2", ["A"]),
        ("10.0.0.9", ["Shared"]),
    ]
    # Globex's server sends by the shared pool too; that is not ours to see.
    Server.objects.filter(pk=globex.server.pk).update(ip_pool=shared)
    assert call("organizations/ip_allocation", payload, key=acme.key)["data"] == data
    addresses = call("organizations/statistics", payload, key=acme.key)["data"]["statistics"]["ip_addresses"]
    assert [row["ipv4"] for row in addresses] == ["10.0.0.1", "10.0.0.2", "10.0.0.9"]


def test_nothing_is_queued_where_incoming_is_not_reported(call, acme):
    count_server(acme.server, NOW, sent=100, bounced=5)
    payload = {"uuid": str(acme.organization.uuid)}
    statistics = call("organizations/statistics", payload, key=acme.key)["data"]["statistics"]
    assert (statistics["total_queued_count"], statistics["servers"][0]["queued_count"]) == (0, 0)


@pytest.mark.parametrize("path", ["statistics", "ip_allocation", "show"])
def test_unknown_and_foreign_organizations_are_one(call, acme, globex, path):
    call("organizations/show", key=acme.key)
    seen = []
    for uuid in (str(globex.organization.uuid), "00000000-1111-2222-3333-444444444444", "acme", "1"):
        with CaptureQueriesContext(connection) as captured:
            assert call(f"organizations/{path}", {"uuid": uuid}, key=acme.key) == UNKNOWN
        seen.append([query["sql"] for query in captured])
    assert len({str(each) for each in seen}) == 1


@pytest.mark.parametrize("path", ["statistics", "ip_allocation"])
def test_the_uuid_is_required(call, acme, path):
    for payload in ({}, {"uuid": None}, {"uuid": " ", "organization_uuid": ""}):
        answer = call(f"organizations/{path}", payload, key=acme.key)
        assert answer == parameter_error("organization_uuid is required")
    assert call(f"organizations/{path}", {"uuid": 5}, key=acme.key) == parameter_error("uuid is invalid")


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        # 1. the key; 2. the organization; 3. how many servers.
        ("list", 3),
        ("show", 3),
        # 3. the servers; 4. their last minute; 5. their totals; 6. the addresses.
        ("statistics", 6),
        # 3. the pools; 4. their addresses; 5. what these sent; 6. the servers; 7. their totals.
        ("ip_allocation", 7),
    ],
)
@pytest.mark.parametrize("number", [1, 20])
def test_they_take_a_constant_number_of_queries(call, acme, path, queries, number, django_assert_num_queries):
    for index in range(number):
        make_pool(acme.organization, f"P{index}", f"10.0.{index}.1", f"10.0.{index}.2")
        make_server(acme.organization, f"S{index}")
    payload = {"uuid": str(acme.organization.uuid)}
    call("servers/list", key=acme.key)
    with django_assert_num_queries(queries):
        call(f"organizations/{path}", payload, key=acme.key)
