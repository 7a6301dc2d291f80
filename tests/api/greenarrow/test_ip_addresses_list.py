"""GET /ip_addresses: pages, tokens, filters; and that all lists of the dialect work alike."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress, VirtualMTA
from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from tests.words import templates


def make(count, first=1):
    return create_many(
        [
            NewAddress(ipv4=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", hostname=f"h{n}.example.com", name=f"ipaddr-{n}")
            for n in range(first, first + count)
        ],
        actor=SYSTEM,
    )


def names(data, key="ip_addresses"):
    return [row["name"] for row in data[key]]


def walk(call, path="ip_addresses", key="ip_addresses"):
    """Follow tokens from the first page to the last."""
    data = call.data("GET", path)
    pages = [data]
    while token := data["pagination"]["next_page_token"]:
        data = call.data("GET", f"{path.partition('?')[0]}?page_token={token}")
        pages.append(data)
    return pages


def test_it_works(call, address):
    assert call("GET", "ip_addresses") == success(
        {
            "ip_addresses": [{"id": address.pk, "name": "ipaddr-1"}],
            "pagination": {"page": 0, "per_page": 100, "num_pages": 1, "num_records": 1, "next_page_token": None},
        }
    )


def test_an_empty_list_has_no_pages(call):
    nothing = {"page": 0, "per_page": 100, "num_pages": 0, "num_records": 0, "next_page_token": None}
    assert call.data("GET", "ip_addresses") == {"ip_addresses": [], "pagination": nothing}


@pytest.mark.parametrize(("count", "pages"), [(99, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_pages_by_number_and_by_token_are_the_same(call, count, pages):
    made = [{"id": each.pk, "name": each.name} for each in make(count)]
    by_token = walk(call)
    assert len(by_token) == pages
    assert [row for page in by_token for row in page["ip_addresses"]] == made
    for number, page in enumerate(by_token):
        assert page["pagination"]["page"] == number
        assert (page["pagination"]["num_pages"], page["pagination"]["num_records"]) == (pages, count)
        by_number = call.data("GET", f"ip_addresses?page={number}")
        assert by_number == page


def test_a_page_past_the_end_is_empty(call, address):
    for page in (1, 2, 2**31 - 1):
        assert call.data("GET", f"ip_addresses?page={page}") == {
            "ip_addresses": [],
            "pagination": {"page": page, "per_page": 100, "num_pages": 1, "num_records": 1, "next_page_token": None},
        }


def test_rows_that_come_and_go_between_two_calls_are_neither_skipped_nor_repeated(call):
    made = make(250)
    first = call.data("GET", "ip_addresses")
    # Of the first page two go; of the rest one goes; three come, at the end of the order.
    IPAddress.objects.filter(pk__in=[made[0].pk, made[99].pk, made[150].pk]).delete()
    make(3, first=1000)
    rest = walk(call, f"ip_addresses?page_token={first['pagination']['next_page_token']}")
    seen = names(first) + [name for page in rest for name in names(page)]
    assert seen == [f"ipaddr-{n}" for n in (*range(1, 151), *range(152, 251), 1000, 1001, 1002)]


def test_tokens_need_no_encoding(call):
    make(101)
    token = call.data("GET", "ip_addresses")["pagination"]["next_page_token"]
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", token)


@pytest.mark.parametrize("token", ["", "x", "null", "e30.x", "%00", "é", "a" * 3000, "W10.abc", "1:2:3"])
def test_a_token_that_is_not_ours_is_refused(call, address, token):
    assert call("GET", f"ip_addresses?page_token={token}", status=400) == refusal(
        "invalid_request", "page_token is not a token of this list"
    )


def test_a_token_is_good_for_its_own_list_only(call):
    make(101)
    token = call.data("GET", "ip_addresses")["pagination"]["next_page_token"]
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for path in (f"virtual_mtas?page_token={token}", f"ip_addresses?page_token={changed}"):
        assert call("GET", path, status=400)["error_code"] == "invalid_request"


def test_page_and_page_token_exclude_each_other(call):
    make(101)
    token = call.data("GET", "ip_addresses")["pagination"]["next_page_token"]
    assert call("GET", f"ip_addresses?page=0&page_token={token}", status=400) == refusal(
        "invalid_request", "page and page_token must not be given together"
    )


@pytest.mark.parametrize("page", ["", "-1", "x", "1.0", "٣", "2147483648", "9" * 5000, "%00", "1e3"])
def test_a_page_must_be_a_number(call, page):
    assert call("GET", f"ip_addresses?page={page}", status=400) == refusal(
        "invalid_request", "page must be an integer from 0 to 2147483647"
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=IPADDR-2", ["ipaddr-2"]),
        ("name=ipaddr", []),
        ("ip=10.0.0.3", ["ipaddr-3"]),
        ("ip=10.0.0", []),
        ("ip=010.0.0.3", []),
        ("hostname=H1.EXAMPLE.com", ["ipaddr-1"]),
        ("hostname=h1", []),
        ("name=ipaddr-1&ip=10.0.0.1&hostname=h1.example.com", ["ipaddr-1"]),
        ("name=ipaddr-1&ip=10.0.0.2", []),
        ("name=%00", []),
        ("name=%ED%A0%80", []),
        ("name=", []),
        ("other=ipaddr-1", ["ipaddr-1", "ipaddr-2", "ipaddr-3"]),
    ],
)
def test_filters_are_exact_and_know_no_case(call, query, found):
    make(3)
    data = call.data("GET", f"ip_addresses?{query}")
    assert names(data) == found
    assert data["pagination"]["num_records"] == len(found)


def test_a_token_holds_its_filters(call, template, monkeypatch):
    monkeypatch.setattr("api.greenarrow.pagination.PER_PAGE", 1)
    made = make(2)
    IPAddress.objects.filter(pk__in=[each.pk for each in made]).update(hostname_key="same.example.com")
    make(1, first=9)
    token = call.data("GET", "ip_addresses?hostname=same.example.com")["pagination"]["next_page_token"]
    for query in (f"page_token={token}", f"page_token={token}&hostname=same.example.com"):
        data = call.data("GET", f"ip_addresses?{query}")
        assert (names(data), data["pagination"]["next_page_token"]) == (["ipaddr-2"], None)
    assert call("GET", f"ip_addresses?page_token={token}&hostname=other", status=400) == refusal(
        "invalid_request", "page_token belongs to a list with other filters"
    )


def queries_of(call, path):
    call.data("GET", path)  # The token's last use is written by the first request of a minute.
    with CaptureQueriesContext(
        connection,
    ) as queries:
        call.data("GET", path)
    return [query["sql"] for query in queries.captured_queries]


@pytest.mark.parametrize(("count", "expected"), [(0, 3), (100, 3), (101, 4)])
def test_a_list_of_one_page_is_not_counted(call, count, expected):
    """The token's user, its memberships, the rows; and, where they go on, how many there are."""
    make(count)
    assert len(queries_of(call, "ip_addresses")) == expected


def test_a_page_costs_the_same_wherever_it_is(call):
    """The token's user, its memberships, the count, the rows; by token without an offset."""
    make(450)
    paths = ["ip_addresses"]
    while token := call.data("GET", paths[-1])["pagination"]["next_page_token"]:
        paths.append(f"ip_addresses?page_token={token}")
    assert len(paths) == 5
    for path in paths:
        statements = queries_of(call, path)
        assert len(statements) == 4
        assert not any("OFFSET" in statement for statement in statements)


def test_ten_thousand_addresses_page_in_constant_time(call):
    """By the database's own plan: every page begins in the primary key, whatever comes before it."""
    make(10_000)
    assert VirtualMTA.objects.count() == 10_000
    pages = walk(call)
    assert len(pages) == 100
    assert len({row["id"] for page in pages for row in page["ip_addresses"]}) == 10_000
    last = max(VirtualMTA.objects.values_list("pk", flat=True)) - 50
    with connection.cursor() as cursor:
        # Without statistics, as right after a bulk insert, PostgreSQL takes a new table for small and reads all of it.
        cursor.execute("ANALYZE")
    plan = IPAddress.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "name")[:101].explain()
    assert re.search(r"Index (Only )?Scan|USING INTEGER PRIMARY KEY", plan), plan


@pytest.mark.parametrize(
    "key", ["ip_addresses", "throttling_templates", "throttle_programs", "relay_servers", "routing_rules"]
)
def test_every_list_answers_alike(call, key):
    data = call.data("GET", key)
    assert list(data) == [key, "pagination"]
    assert all(list(row) == ["id", "name"] for row in data[key])
    assert data["pagination"]["num_records"] == len(data[key])
    assert call("GET", f"{key}?page=x", status=400)["error_code"] == "invalid_request"


def test_templates_page_too(call):
    for number in range(101):
        values = {"name": f"t{number}", "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 0}}
        templates.create(values, actor=SYSTEM)
    pages = walk(call, "throttling_templates", "throttling_templates")
    assert [len(page["throttling_templates"]) for page in pages] == [100, 2]
