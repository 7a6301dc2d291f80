"""GET|POST /api/v1/servers/ip_pools"""

import datetime

import pytest

from ippools.models import IPAddress, IPPool
from servers.pools import grant_pool
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, SYSTEM, WRONG_KEY, error, golden, make_pool, success
from tests.api.postal.counts import DAY, count_address

pytestmark = pytest.mark.django_db
PATH = "servers/ip_pools"
THEN = datetime.datetime(2025, 5, 13, 12, tzinfo=datetime.UTC)


@pytest.fixture
def pools(acme):
    """The two pools of the page's examples."""
    main = make_pool(acme.organization, "Main Pool", "1.2.3.4", "5.6.7.8")
    second = make_pool(acme.organization, "Secondary Pool", "1.2.3.4")
    IPAddress.objects.filter(ipv4="1.2.3.4").update(hostname="mail1.example.com", ipv6="2001:db8:85a3::8a2e:370:7334")
    IPAddress.objects.filter(ipv4="5.6.7.8").update(hostname="mail2.example.com", priority=50)
    IPPool.objects.filter(pk=main.pk).update(is_default=True)
    IPPool.objects.update(created_at=THEN)
    return main, second


def expected_of(name, pools):
    """The document's pools, with our ids in them."""
    document = golden(name)
    ids = dict(IPAddress.objects.values_list("ipv4", "pk"))
    for shape, pool in zip(document["data"]["ip_pools"], pools, strict=True):
        shape |= {"id": pool.pk, "uuid": str(pool.uuid)}
        for address in shape["ip_addresses"]:
            address["id"] = ids[address["ipv4"]]
    return document


@pytest.mark.storage
def test_it_works(call, acme, pools, globex):
    make_pool(globex.organization, "Theirs", "9.9.9.9")
    expected = expected_of("ip-pools-list", pools)
    answer = call(PATH, key=acme.key, method="GET")
    assert answer == expected
    assert list(answer["data"]["ip_pools"][0]) == list(expected["data"]["ip_pools"][0])
    assert call(PATH, {}, key=acme.key) == expected


@pytest.mark.storage
def test_it_works_with_statistics(call, acme, pools):
    count_address("1.2.3.4", NOW, 15000)
    count_address("1.2.3.4", NOW - 800 * DAY, 862)
    count_address("5.6.7.8", NOW - 20 * DAY, 9734)
    expected = expected_of("ip-pools-list-stats", pools)
    answer = call(PATH + "?include_stats=true", key=acme.key, method="GET")
    assert answer == expected
    pool = answer["data"]["ip_pools"][0]
    assert list(pool) == list(expected["data"]["ip_pools"][0])
    assert isinstance(pool["stats"]["average_per_ip"], float)
    assert call(PATH, {"include_stats": True, "find_least_used": False}, key=acme.key) == expected


@pytest.mark.parametrize(
    ("period", "sent"),
    [("today", 1), ("yesterday", 10), ("week", 111), ("month", 1111), ("year", 11111), (None, 111111), ("", 111111)],
)
def test_periods_are_utc_calendar_periods(call, acme, pools, period, sent):
    # Wednesday the 18th; Monday was the 16th.
    for days, number in ((0, 1), (1, 10), (2, 100), (3, 1000), (30, 10000), (400, 100000)):
        count_address("5.6.7.8", NOW.replace(hour=0, minute=0) - days * DAY, number)
    answer = call(PATH, {"include_stats": "1", "stats_period": period}, key=acme.key)
    first, second = answer["data"]["ip_pools"]
    assert [address["messages_sent"] for address in first["ip_addresses"]] == [0, sent]
    assert first["stats"] == {"total_messages_sent": sent, "ip_count": 2, "average_per_ip": sent / 2}
    assert second["stats"] == {"total_messages_sent": 0, "ip_count": 1, "average_per_ip": 0.0}


def test_the_least_used_is_named(call, acme, pools):
    main, second = pools
    count_address("1.2.3.4", NOW, 4)
    data = call(PATH, {"include_stats": True, "find_least_used": True}, key=acme.key)["data"]
    assert list(data) == ["ip_pools", "least_used_pool"]
    assert data["least_used_pool"] == {"id": main.pk, "uuid": str(main.uuid), "name": "Main Pool"}
    count_address("5.6.7.8", NOW, 5)
    data = call(PATH, {"include_stats": True, "find_least_used": True}, key=acme.key)["data"]
    assert data["least_used_pool"] == {"id": second.pk, "uuid": str(second.uuid), "name": "Secondary Pool"}
    # Of another period, another pool: today nothing but the above, yesterday nothing at all.
    parameters = {"include_stats": True, "find_least_used": True, "stats_period": "yesterday"}
    assert call(PATH, parameters, key=acme.key)["data"]["least_used_pool"]["id"] == main.pk


def test_without_stats_nothing_is_named(call, acme, pools):
    assert list(call(PATH, {"find_least_used": True}, key=acme.key)["data"]) == ["ip_pools"]


def test_no_pool_with_an_address_is_named(call, acme):
    pool = make_pool(acme.organization, "Empty")
    parameters = {"include_stats": True, "find_least_used": True}
    assert call(PATH, parameters, key=acme.key) == success(
        {
            "ip_pools": [
                {
                    "id": pool.pk,
                    "uuid": str(pool.uuid),
                    "name": "Empty",
                    "default": False,
                    "created_at": "2026-11-18T10:30:15.250Z",
                    "ip_addresses": [],
                    "stats": {"total_messages_sent": 0, "ip_count": 0, "average_per_ip": 0.0},
                }
            ]
        }
    )


def test_no_pools(call, acme, globex):
    make_pool(globex.organization, "Theirs", "9.9.9.9")
    assert call(PATH, {"include_stats": True}, key=acme.key) == success({"ip_pools": []})


def test_a_granted_pool_is_seen_with_platform_wide_counts(call, acme, globex):
    theirs = make_pool(globex.organization, "Shared", "9.9.9.9")
    grant_pool(organization=acme.organization, pool=theirs, actor=SYSTEM)
    count_address("9.9.9.9", NOW, 7)
    answers = [call(PATH, {"include_stats": True}, key=tenant.key) for tenant in (acme, globex)]
    assert answers[0] == answers[1]
    assert answers[0]["data"]["ip_pools"][0]["stats"]["total_messages_sent"] == 7


@pytest.mark.parametrize("number", [1, 30])
def test_it_takes_a_constant_number_of_queries(call, acme, number, django_assert_num_queries):
    for index in range(number):
        make_pool(acme.organization, f"P{index}", f"10.0.{index}.1", f"10.0.{index}.2")
    call(PATH, key=acme.key)
    # 1. the key; 2. the pools; 3. their addresses; 4. what these sent.
    with django_assert_num_queries(4):
        pools = call(PATH, {"include_stats": True, "find_least_used": True}, key=acme.key)["data"]["ip_pools"]
    assert [len(pool["ip_addresses"]) for pool in pools] == [2] * number
    with django_assert_num_queries(3):
        call(PATH, key=acme.key)


@pytest.mark.parametrize("value", ["yes", "", 2, 1.5, None, [], {}])
@pytest.mark.parametrize("name", ["include_stats", "find_least_used"])
def test_it_rejects_what_is_no_boolean(call, acme, name, value):
    assert call(PATH, {name: value}, key=acme.key) == error(
        "ParameterError", f"Invalid '{name}' parameter (must be a boolean)"
    )


@pytest.mark.parametrize("value", ["Today", "day", "all", 1, True, ["today"], {}])
@pytest.mark.parametrize("include_stats", [True, False])
def test_it_rejects_an_unknown_period_everywhere(call, acme, value, include_stats):
    assert call(PATH, {"include_stats": include_stats, "stats_period": value}, key=acme.key) == error(
        "ParameterError",
        "Invalid 'stats_period' parameter (must be one of today, yesterday, week, month, year)",
    )


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH, method="GET") == NO_KEY
    assert call(PATH, method="GET", key="wrong") == WRONG_KEY
    assert call(PATH, method="GET", key=suspended.key) == SUSPENDED
