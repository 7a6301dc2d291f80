"""GET|POST /api/v1/servers/ip_addresses and /api/v1/servers/email-stats-breakdown"""

import datetime

import pytest

from ippools.models import IPAddress
from servers.models import IPPoolRule
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import Sender, SenderCount
from stats.reports import queries
from tests.api.postal.conftest import golden, golden_family, make_pool, make_server, parameter_error, success

pytestmark = pytest.mark.django_db
RANGE = {"start_date": "2025-01-01T00:00:00Z", "end_date": "2025-01-31T23:59:59Z"}


@pytest.mark.storage
def test_the_addresses_of_a_server(call, acme, globex):
    main = make_pool(acme.organization, "Main Pool", "192.0.2.11", "192.0.2.10")
    acme.server.ip_pool = main
    acme.server.save()
    make_pool(acme.organization, "Unused", "192.0.2.50")
    make_pool(globex.organization, "Theirs", "192.0.2.60")
    expected = golden_family("servers-ip-addresses")
    # By id, which is the order in which they were made.
    expected["data"]["ip_addresses"].reverse()
    assert call("servers/ip_addresses", key=acme.key) == expected
    assert call("servers/ip_addresses", key=acme.key, method="GET") == expected


def test_the_addresses_of_pool_rules(call, acme, globex):
    pools = [make_pool(acme.organization, name, ip, "10.0.0.9") for name, ip in (("A", "10.0.0.1"), ("B", "10.0.0.2"))]
    other = make_server(acme.organization, "Other")
    third = make_pool(acme.organization, "C", "10.0.0.3")
    IPPoolRule.objects.create(server=acme.server, pool=pools[0], from_conditions="example.com")
    IPPoolRule.objects.create(organization=acme.organization, pool=pools[1], to_conditions="example.org")
    IPPoolRule.objects.create(server=other.server, pool=third, from_conditions="example.com")
    IPAddress.objects.filter(ipv4="10.0.0.1").update(ipv6="2001:db8::1", priority=5)

    def addresses(tenant):
        return [row["ipv4"] for row in call("servers/ip_addresses", key=tenant.key)["data"]["ip_addresses"]]

    # Each once.
    assert addresses(acme) == ["10.0.0.1", "10.0.0.9", "10.0.0.2"]
    assert addresses(other) == ["10.0.0.9", "10.0.0.2", "10.0.0.3"]
    assert addresses(globex) == []
    row = call("servers/ip_addresses", key=acme.key)["data"]["ip_addresses"][0]
    assert row == {
        "ipv4": "10.0.0.1",
        "ipv6": "2001:0db8:0000:0000:0000:0000:0000:0001",
        "hostname": "10-0-0-1.acme.postal",
        "priority": 5,
    }


@pytest.mark.parametrize("number", [1, 30])
def test_addresses_take_three_queries(call, acme, number, django_assert_num_queries):
    acme.server.ip_pool = make_pool(acme.organization, "A", *(f"10.0.0.{index}" for index in range(number)))
    acme.server.save()
    call("servers/ip_addresses", key=acme.key)
    # 1. the key; 2. the server, for its pool; 3. the addresses.
    with django_assert_num_queries(3):
        assert len(call("servers/ip_addresses", key=acme.key)["data"]["ip_addresses"]) == number


# --- email-stats-breakdown --------------------------------------------------------------------------------------------


def count_sender(server, name, date, sent):
    sender, _ = Sender.objects.get_or_create(server_id=server.pk, name=name, defaults={"first_seen_day": 0})
    day = buckets.day_number(datetime.date.fromisoformat(date))
    SenderCount.objects.create(grain=Grain.DAY, bucket=day, server_id=server.pk, sender_id=sender.pk, sent=sent)


@pytest.fixture
def counted(acme, globex):
    count_sender(acme.server, "billing@example.com", "2025-01-31", 210)
    count_sender(acme.server, "news@example.com", "2025-01-01", 4000)
    count_sender(acme.server, "news@example.com", "2025-01-20", 1000)
    count_sender(acme.server, "news@example.com", "2025-02-01", 7)
    count_sender(acme.server, "silent@example.com", "2025-01-20", 0)
    count_sender(globex.server, "secret@globex.example", "2025-01-20", 9)
    return acme


@pytest.mark.storage
def test_the_breakdown(call, counted):
    answer = call("servers/email-stats-breakdown", RANGE, key=counted.key)
    assert answer == golden_family("servers-email-stats-breakdown")
    assert list(answer["data"]["breakdown"]) == ["news@example.com", "billing@example.com"]


def test_the_breakdown_of_other_days(call, counted):
    data = call(
        "servers/email-stats-breakdown", {"start_date": "2025-02-01", "end_date": "2025-02-01"}, key=counted.key
    )
    assert data["data"]["breakdown"] == {"news@example.com": 7}
    empty = {"breakdown": {}, "total_mailboxes": 0, "total_emails": 0}
    day = {"start_date": "2024-01-01", "end_date": "2024-01-01"}
    echoed = {"start_date": "2024-01-01T00:00:00Z", "end_date": "2024-01-01T23:59:59Z"}
    assert call("servers/email-stats-breakdown", day, key=counted.key) == success(echoed | empty)


def test_a_long_breakdown_is_cut_with_the_totals_whole(call, counted, monkeypatch):
    monkeypatch.setattr(queries.sent_by_sender, "__kwdefaults__", {"limit": 1})
    answer = call("servers/email-stats-breakdown", RANGE, key=counted.key)
    assert answer["flags"] == {"truncated": True}
    assert answer["data"]["breakdown"] == {"news@example.com": 5000}
    assert (answer["data"]["total_mailboxes"], answer["data"]["total_emails"]) == (2, 5210)


def test_the_breakdown_has_the_parameter_errors_of_email_stats(call, acme):
    path = "servers/email-stats-breakdown"
    assert call(path, key=acme.key) == parameter_error("start_date is required")
    assert call(path, RANGE | {"end_date": "x"}, key=acme.key) == golden("servers-email-stats-format")
    backwards = {"start_date": RANGE["end_date"], "end_date": RANGE["start_date"]}
    assert call(path, backwards, key=acme.key) == golden("servers-email-stats-range")


def test_the_breakdown_takes_a_constant_number_of_queries(call, counted, django_assert_num_queries):
    call("servers/list", key=counted.key)
    # 1. the key; 2. the first and last day counted; 3. the sums by sender; 4. the senders' names.
    with django_assert_num_queries(4):
        call("servers/email-stats-breakdown", RANGE, key=counted.key)
