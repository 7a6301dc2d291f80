"""GET|POST /api/v1/servers/ip_pools/least_used"""

import datetime

import pytest

from ippools.models import IPPool
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, error, golden, make_pool
from tests.api.postal.counts import DAY, count_address

pytestmark = pytest.mark.django_db
PATH = "servers/ip_pools/least_used"
THEN = datetime.datetime(2025, 5, 13, 12, tzinfo=datetime.UTC)


@pytest.mark.storage
def test_it_works(call, acme, globex):
    make_pool(acme.organization, "Main Pool", "1.1.1.1")
    second = make_pool(acme.organization, "Secondary Pool", "2.2.2.1", "2.2.2.2", "2.2.2.3")
    make_pool(acme.organization, "Empty")
    make_pool(globex.organization, "Theirs", "9.9.9.9")
    IPPool.objects.update(created_at=THEN)
    count_address("1.1.1.1", NOW, 5288)
    count_address("2.2.2.1", NOW - 900 * DAY, 15000)
    count_address("2.2.2.2", NOW, 862)
    expected = golden("ip-pools-least-used")
    expected["data"]["ip_pool"] |= {"id": second.pk, "uuid": str(second.uuid)}
    answer = call(PATH, key=acme.key, method="GET")
    assert answer == expected
    assert list(answer["data"]["ip_pool"]) == list(expected["data"]["ip_pool"])
    assert call(PATH, {}, key=acme.key) == expected


def test_of_a_period(call, acme):
    first = make_pool(acme.organization, "A", "1.1.1.1")
    make_pool(acme.organization, "B", "2.2.2.2")
    count_address("1.1.1.1", NOW - DAY, 100)
    count_address("2.2.2.2", NOW, 1)
    for period, name in (("today", "A"), ("yesterday", "B"), ("week", "B"), (None, "B")):
        pool = call(PATH, {"stats_period": period}, key=acme.key)["data"]["ip_pool"]
        assert pool["name"] == name
    assert call(PATH + "?stats_period=today", key=acme.key, method="GET")["data"]["ip_pool"]["id"] == first.pk


def test_rounding_decides_nothing(call, acme):
    # 1000.0033… and 1000.0000…: both are 1000.0 when rounded.
    make_pool(acme.organization, "A", *(f"10.0.0.{index}" for index in range(1, 201)))
    second = make_pool(acme.organization, "B", "2.2.2.2")
    count_address("10.0.0.1", NOW, 200_001)
    count_address("2.2.2.2", NOW, 1000)
    pool = call(PATH, key=acme.key)["data"]["ip_pool"]
    assert pool["id"] == second.pk
    assert pool["stats"] == {"total_messages_sent": 1000, "ip_count": 1, "average_per_ip": 1000.0}


def test_ties_go_to_the_lower_id(call, acme):
    first = make_pool(acme.organization, "Z", "1.1.1.1", "1.1.1.2")
    make_pool(acme.organization, "A", "2.2.2.2")
    count_address("1.1.1.1", NOW, 4)
    count_address("2.2.2.2", NOW, 2)
    assert call(PATH, key=acme.key)["data"]["ip_pool"]["id"] == first.pk


def test_no_pool_with_an_address(call, acme, globex):
    make_pool(globex.organization, "Theirs", "9.9.9.9")
    assert call(PATH, key=acme.key) == golden("ip-pools-least-used-none")
    make_pool(acme.organization, "Empty")
    assert call(PATH, key=acme.key) == golden("ip-pools-least-used-none")


@pytest.mark.parametrize("value", ["Today", "decade", 1, True, [], {}])
def test_it_rejects_an_unknown_period(call, acme, value):
    assert call(PATH, {"stats_period": value}, key=acme.key) == error(
        "ParameterError",
        "Invalid 'stats_period' parameter (must be one of today, yesterday, week, month, year)",
    )


@pytest.mark.parametrize("number", [1, 30])
def test_it_takes_four_queries(call, acme, number, django_assert_num_queries):
    for index in range(number):
        make_pool(acme.organization, f"P{index}", f"10.0.{index}.1")
    call(PATH, key=acme.key)
    # 1. the key; 2. the pools; 3. their addresses; 4. what these sent.
    with django_assert_num_queries(4):
        call(PATH, key=acme.key)


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH) == NO_KEY
    assert call(PATH, key="wrong") == WRONG_KEY
    assert call(PATH, key=suspended.key) == SUSPENDED
