"""GET|POST /api/v1/domains/list"""

import datetime

import pytest

from servers.models import Domain
from tests.api.postal.conftest import NOW, golden_family, make_server, parameter_error, success
from tests.api.postal.counts import DAY, count_domain

pytestmark = pytest.mark.django_db
PATH = "domains/list"


def add(server, name, **columns):
    return Domain.objects.create(server=server, name=name, **columns)


def names(call, tenant, **parameters):
    return [row["name"] for row in call(PATH, parameters, key=tenant.key)["data"]["domains"]]


@pytest.mark.storage
def test_it_works(call, acme, globex):
    checks = ("spf_status", "dkim_status", "mx_status", "return_path_status", "dmarc_status")
    first = add(acme.server, "example.com", verified_at=NOW, **dict.fromkeys(checks, "ok"))
    second = add(acme.server, "example.org")
    add(globex.server, "globex.example")
    add(make_server(acme.organization, "Other").server, "other.example")
    count_domain(acme.server, "example.com", NOW, sent=523)
    count_domain(acme.server, "example.com", NOW - DAY, sent=15834 - 523)
    expected = golden_family("domains-list")
    for row, domain in zip(expected["data"]["domains"], (first, second), strict=True):
        row["uuid"] = str(domain.uuid)
    answer = call(PATH, {"include_stats": True}, key=acme.key)
    assert answer == expected
    for row in expected["data"]["domains"]:
        del row["stats"]
    assert call(PATH, key=acme.key, method="GET") == expected


def test_each_status_has_its_word(call, acme):
    add(acme.server, "a.example", spf_status="missing", dkim_status="invalid", mx_status="ok", dmarc_status="missing")
    (row,) = call(PATH, key=acme.key)["data"]["domains"]
    assert [row[f"{check}_status"] for check in ("spf", "dkim", "mx", "return_path", "dmarc")] == [
        "Missing", "Invalid", "OK", None, "Missing",
    ]  # fmt: skip


def test_pages(call, acme):
    for number in range(7):
        add(acme.server, f"{number}.example")
    answer = call(PATH, {"page": "2", "per_page": 3}, key=acme.key)["data"]
    assert [row["name"] for row in answer["domains"]] == ["3.example", "4.example", "5.example"]
    assert answer["pagination"] == {"current_page": 2, "per_page": 3, "total_pages": 3, "total_count": 7}
    assert names(call, acme, page=3, per_page=3) == ["6.example"]
    for page in (4, 2**63 - 1, "999999999999999999"):
        answer = call(PATH, {"page": page, "per_page": 3}, key=acme.key)["data"]
        assert (answer["domains"], answer["pagination"]["total_pages"]) == ([], 3)


def test_no_domains(call, acme):
    assert call(PATH, key=acme.key) == success(
        {"domains": [], "pagination": {"current_page": 1, "per_page": 30, "total_pages": 0, "total_count": 0}}
    )


def test_verified(call, acme):
    add(acme.server, "a.example", verified_at=NOW)
    add(acme.server, "b.example")
    assert names(call, acme) == ["a.example", "b.example"]
    assert names(call, acme, verified=True) == ["a.example"]
    assert names(call, acme, verified="FALSE") == ["b.example"]


def test_search(call, acme):
    for name in ("mail.example.com", "example.org", "xn--mnchen-3ya.example", "a_b.example", "axb.example"):
        add(acme.server, name)
    assert names(call, acme, search="EXAMPLE.") == ["example.org", "mail.example.com"]
    assert names(call, acme, search="München.example") == ["xn--mnchen-3ya.example"]
    assert names(call, acme, search="a_b") == ["a_b.example"]
    assert names(call, acme, search="%") == []
    assert names(call, acme, search="\U0001f600 no domain") == []
    assert len(names(call, acme, search=" ")) == 5


@pytest.mark.storage
@pytest.mark.parametrize("sign", ["a", "%", "_", "é"])
def test_a_search_that_is_longer_than_any_name_finds_nothing(call, acme, sign):
    """SQLite looks for no more than some 50,000 characters: it was an internal error."""
    add(acme.server, "example.org")
    assert names(call, acme, search=sign * 60_000) == []


def test_order(call, acme):
    for name, days, verified in (("b.example", 1, 5), ("a.example", 2, None), ("c.example", 3, 4)):
        domain = add(acme.server, name, verified_at=verified and NOW - verified * DAY)
        Domain.objects.filter(pk=domain.pk).update(created_at=NOW - datetime.timedelta(days=days))
    assert names(call, acme, order_direction="DESC") == ["c.example", "b.example", "a.example"]
    assert names(call, acme, order_by="created_at") == ["c.example", "a.example", "b.example"]
    # Those that were never verified come last, whichever way.
    assert names(call, acme, order_by="verified_at") == ["b.example", "c.example", "a.example"]
    assert names(call, acme, order_by="verified_at", order_direction="DESC") == ["c.example", "b.example", "a.example"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"page": 0}, "page is invalid"),
        ({"page": "x"}, "page is invalid"),
        ({"page": 2**63}, "page is invalid"),
        ({"page": "9" * 19}, "page is invalid"),
        ({"page": 1.5}, "page is invalid"),
        ({"per_page": 0}, "per_page must be from 1 to 100"),
        ({"per_page": 101}, "per_page must be from 1 to 100"),
        ({"verified": "yes"}, "verified is invalid"),
        ({"verified": None}, "verified is invalid"),
        ({"search": 5}, "search is invalid"),
        ({"order_by": "uuid"}, "order_by is invalid"),
        ({"order_by": "dkim_private_key"}, "order_by is invalid"),
        ({"order_direction": "asc"}, "order_direction is invalid"),
        ({"include_stats": []}, "include_stats is invalid"),
    ],
    ids=str,
)
def test_it_rejects_wrong_parameters(call, acme, parameters, message):
    assert call(PATH, parameters, key=acme.key) == parameter_error(message)


@pytest.mark.parametrize("number", [1, 40])
def test_it_takes_a_constant_number_of_queries(call, acme, number, django_assert_num_queries):
    for index in range(number):
        add(acme.server, f"{index}.example")
        count_domain(acme.server, f"{index}.example", NOW, sent=1)
    call(PATH, key=acme.key)
    # 1. the key; 2. how many there are; 3. the page.
    with django_assert_num_queries(3):
        call(PATH, {"per_page": 100}, key=acme.key)
    # 4. the numbers by which their names are counted; 5. the counts.
    with django_assert_num_queries(5):
        assert len(names(call, acme, include_stats=True, per_page=100)) == number
