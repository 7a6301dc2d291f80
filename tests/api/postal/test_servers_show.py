"""GET|POST /api/v1/servers/show"""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Domain, Server
from servers.provisioning import delete_server
from tests.api.postal.conftest import (
    NO_KEY,
    NOW,
    SUSPENDED,
    SYSTEM,
    WRONG_KEY,
    error,
    golden,
    make_pool,
    make_server,
    parameter_error,
)
from tests.api.postal.counts import DAY, count_domain, count_server
from tests.api.postal.test_servers_list import THEN, furnish

pytestmark = pytest.mark.django_db
PATH = "servers/show"
NOT_FOUND = error("InvalidServer", "The server could not be found with the provided server_id")


@pytest.fixture
def shown(acme):
    """The server of the page's examples."""
    pool = make_pool(acme.organization, "Main", "1.1.1.1")
    furnish(acme.server, domains=0, credentials=2, webhooks=1, routes=5)
    ok = {"spf_status": "ok", "dkim_status": "ok", "mx_status": "ok", "return_path_status": "ok"}
    Domain.objects.create(server=acme.server, name="example.com", verified_at=NOW, **ok)
    Domain.objects.create(server=acme.server, name="mail.example.org", verified_at=NOW)
    Domain.objects.create(
        server=acme.server, name="odd.example", spf_status="missing", mx_status="invalid", outgoing=False
    )
    Server.objects.filter(pk=acme.server.pk).update(ip_pool=pool, created_at=THEN, updated_at=THEN)
    count_server(acme.server, NOW, sent=1524, bounced=7)
    count_server(acme.server, NOW - DAY, sent=45789 - 1524, incoming=3)
    count_server(acme.server, NOW - 40 * DAY, sent=99)
    count_domain(acme.server, "example.com", NOW, sent=523)
    count_domain(acme.server, "example.com", NOW - DAY, sent=15834 - 523)
    return acme


def expected_of(name, tenant):
    """The document's server, with our ids in it."""
    document = golden(name)
    server = document["data"]["server"]
    server |= {"uuid": str(tenant.server.uuid), "ip_pool_id": Server.objects.get(pk=tenant.server.pk).ip_pool_id}
    server["organization"]["uuid"] = str(tenant.organization.uuid)
    return document


def expected_domains(tenant, document):
    """The document's two domains, the second (which it cuts short) with all keys, and the third that it only counts."""
    uuids = dict(Domain.objects.filter(server=tenant.server).values_list("name", "uuid"))
    first, second = document["data"]["server"]["domains"]
    none = {"messages_sent_today": 0, "messages_sent_this_month": 0}
    unchecked = {"spf_status": None, "dkim_status": None, "mx_status": None, "return_path_status": None}
    third = {
        "name": "odd.example", "verified": False, "spf_status": "Missing", "dkim_status": None,
        "mx_status": "Invalid", "return_path_status": None, "outgoing": False, "incoming": True, "stats": none,
    }  # fmt: skip
    second |= unchecked | {"outgoing": True, "incoming": True, "stats": none}
    domains = [first, second, third]
    for domain in domains:
        domain["uuid"] = str(uuids[domain["name"]])
    return domains


@pytest.mark.storage
def test_it_works(call, shown):
    expected = expected_of("servers-show", shown)
    expected["data"]["server"]["domains"] = expected_domains(shown, expected)
    answer = call(PATH, {"include_domains": True, "include_stats": True}, key=shown.key)
    assert answer == expected
    assert list(answer["data"]["server"]) == list(expected["data"]["server"])


def test_nothing_asked_for(call, shown):
    expected = expected_of("servers-show", shown)
    del expected["data"]["server"]["domains"]
    assert call(PATH, key=shown.key) == expected
    assert call(PATH, key=shown.key, method="GET") == expected
    assert call(PATH + "?include_domains=0&include_stats=TRUE", key=shown.key, method="GET") == expected


def test_without_stats_every_stats_is_left_out(call, shown):
    expected = expected_of("servers-show", shown)
    domains = expected_domains(shown, expected)
    del expected["data"]["server"]["stats"]
    expected["data"]["server"]["domains"] = [{k: v for k, v in each.items() if k != "stats"} for each in domains]
    assert call(PATH, {"include_domains": True, "include_stats": False}, key=shown.key) == expected


@pytest.mark.storage
def test_detailed_statistics(call, shown):
    at = NOW.replace(minute=0, second=0, microsecond=0)
    counts = {"incoming": 582, "sent": 1467, "bounced": 35, "spam": 12, "held": 5, "deferred": 77, "complaint": 3}
    count_server(shown.server, at - 5 * DAY, **counts)
    count_server(shown.server, at - datetime.timedelta(hours=23), sent=2)
    count_server(shown.server, at - datetime.timedelta(hours=24), sent=1000)

    expected = expected_of("servers-show-detailed", shown)
    expected["data"]["server"]["stats"]["messages_sent_this_month"] += 1467 + 2 + 1000
    answer = call(PATH, {"include_detailed_stats": "True"}, key=shown.key)
    shown_stats = answer["data"]["server"].pop("detailed_stats")
    of_page = expected["data"]["server"].pop("detailed_stats")
    assert answer == expected

    daily = {row["date"]: row["stats"] for row in shown_stats["daily"]}
    assert list(daily) == [f"{NOW - day * DAY:%Y-%m-%d}T00:00:00Z" for day in range(29, -1, -1)]
    # The page's row, word for word but for its date.
    assert daily["2026-11-13T00:00:00Z"] == of_page["daily"][0]["stats"]
    zero = dict.fromkeys(("incoming", "outgoing", "bounces", "spam", "held"), 0)
    assert {date: stats for date, stats in daily.items() if stats != zero} == {
        "2026-11-13T00:00:00Z": of_page["daily"][0]["stats"],
        "2026-11-17T00:00:00Z": zero | {"outgoing": 45789 - 1524 + 1002, "incoming": 3},
        "2026-11-18T00:00:00Z": zero | {"outgoing": 1524, "bounces": 7},
    }
    hours = [at - datetime.timedelta(hours=hour) for hour in range(23, -1, -1)]
    assert [row["date"] for row in shown_stats["hourly"]] == [f"{each:%Y-%m-%dT%H}:00:00Z" for each in hours]
    # The first is 23 hours ago: its own two messages; the mail of 24 hours ago is in no row.
    assert shown_stats["hourly"][0]["stats"] == zero | {"outgoing": 2}
    assert shown_stats["hourly"][-1]["stats"] == zero | {"outgoing": 1524, "bounces": 7}
    assert all(list(row["stats"]) == list(zero) for row in (*shown_stats["daily"], *shown_stats["hourly"]))


def test_detailed_statistics_do_not_depend_on_include_stats(call, shown):
    server = call(PATH, {"include_detailed_stats": True, "include_stats": False}, key=shown.key)["data"]["server"]
    assert "stats" not in server
    assert len(server["detailed_stats"]["daily"]) == 30


def test_a_server_is_found_by_its_uuid(call, acme, suspended):
    for uuid in (str(suspended.server.uuid), str(suspended.server.uuid).upper()):
        server = call(PATH, {"server_id": uuid}, key=acme.key)["data"]["server"]
        assert (server["name"], server["suspended"], server["suspension_reason"]) == ("Suspended Server", True, "Spam")


def statements(call, uuid, key):
    """Return the answer, and the statements with the value that was asked for blotted out (SQLite writes it as hex)."""
    with CaptureQueriesContext(connection) as captured:
        answer = call(PATH, {"server_id": uuid}, key=key)
    return answer, [query["sql"].replace(uuid.replace("-", ""), "?").replace(uuid, "?") for query in captured]


def test_unknown_foreign_and_deleted_are_one(call, acme, globex):
    gone = make_server(acme.organization, "Gone").server
    delete_server(server=gone, at=NOW, actor=SYSTEM)
    call(PATH, key=acme.key)
    unknown = statements(call, "00000000-1111-2222-3333-444444444444", acme.key)
    assert unknown[0] == NOT_FOUND
    assert len(unknown[1]) == 2
    for uuid in (str(globex.server.uuid), str(gone.uuid)):
        assert statements(call, uuid, acme.key) == unknown


@pytest.mark.parametrize(
    "server_id", ["1", "transactional-server", "server-uuid", "%", "'; --", "\U0001f600", "x" * 9999]
)
def test_what_is_no_uuid_is_unknown(call, acme, server_id):
    assert call(PATH, {"server_id": server_id}, key=acme.key) == NOT_FOUND


@pytest.mark.parametrize("server_id", [None, "", " "])
def test_no_server_id_is_the_keys_server(call, acme, server_id):
    assert call(PATH, {"server_id": server_id}, key=acme.key)["data"]["server"]["uuid"] == str(acme.server.uuid)


@pytest.mark.parametrize("name", ["include_domains", "include_stats", "include_detailed_stats"])
@pytest.mark.parametrize("value", ["yes", "", 2, -1, 1.0, [], {}, None, "on", " true"])
def test_it_rejects_what_is_no_boolean(call, acme, name, value):
    assert call(PATH, {name: value}, key=acme.key) == parameter_error(f"{name} is invalid")


@pytest.mark.parametrize("server_id", [1, 1.5, True, [], {"a": 1}])
def test_it_rejects_a_server_id_that_is_no_text(call, acme, server_id):
    assert call(PATH, {"server_id": server_id}, key=acme.key) == parameter_error("server_id is invalid")


@pytest.mark.parametrize("number", [1, 40])
def test_it_takes_a_constant_number_of_queries(call, acme, number, django_assert_num_queries):
    for index in range(number):
        Domain.objects.create(server=acme.server, name=f"{index}.example")
        count_domain(acme.server, f"{index}.example", NOW, sent=index)
    everything = {"include_domains": True, "include_detailed_stats": True}
    call(PATH, key=acme.key)
    # 1. the key; 2. the server with its counts and organization; 3. its statistics; 4. its domains; 5. the numbers by which
    # their names are counted; 6. the domains' statistics; 7. days and hours.
    with django_assert_num_queries(7):
        assert len(call(PATH, everything, key=acme.key)["data"]["server"]["domains"]) == number
    # 1. the key; 2. the server.
    with django_assert_num_queries(2):
        call(PATH, {"include_stats": False}, key=acme.key)


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH) == NO_KEY
    assert call(PATH, key="wrong") == WRONG_KEY
    assert call(PATH, key=suspended.key) == SUSPENDED
