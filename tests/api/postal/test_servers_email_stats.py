"""GET|POST /api/v1/servers/email-stats"""

import datetime

import psycopg
import pytest
from django.db import DatabaseError, OperationalError

from servers.models import Server
from stats.reports import queries
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, golden, make_server, parameter_error
from tests.api.postal.counts import count_server

pytestmark = pytest.mark.django_db
PATH = "servers/email-stats"
RANGE = {"start_date": "2025-01-01T00:00:00Z", "end_date": "2025-01-31T23:59:59Z"}


def day(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(hour=12, tzinfo=datetime.UTC)


@pytest.mark.storage
def test_it_works(call, acme, globex):
    marketing = make_server(acme.organization, "Marketing Server")
    for text, sent in (("2024-12-31", 1000), ("2025-01-01", 80000), ("2025-01-31", 9432), ("2025-02-01", 1000)):
        count_server(marketing.server, day(text), sent=sent, bounced=4, incoming=9)
    count_server(acme.server, day("2025-01-10"), sent=5)
    count_server(globex.server, day("2025-01-10"), sent=6)
    expected = golden("servers-email-stats")
    expected["data"]["server"]["uuid"] = str(marketing.server.uuid)
    answer = call(PATH, RANGE, key=marketing.key)
    assert answer == expected
    assert list(answer["data"]) == list(expected["data"])
    query = "?start_date=2025-01-01T00:00:00Z&end_date=2025-01-31T23:59:59Z"
    assert call(PATH + query, key=marketing.key, method="GET") == expected


@pytest.mark.parametrize(
    ("start", "end", "echoed", "sent"),
    [
        # A date alone, the same day at both ends: the whole day.
        ("2025-03-02", "2025-03-02", ("2025-03-02", "2025-03-02"), 20),
        ("2025-03-02T13:00", "2025-03-03T01:00:00", ("2025-03-02", "2025-03-03"), 60),
        ("2025-03-02t23:59:59.999999z", "2025-03-03", ("2025-03-02", "2025-03-03"), 60),
        # An offset moves the day, and the days that are counted are those that are echoed.
        ("2025-03-02T01:00:00+02:00", "2025-03-02T01:00:00+0200", ("2025-03-01", "2025-03-01"), 10),
        ("2025-03-02T22:00:00-05", "2025-03-03T00:00:00-05:00", ("2025-03-03", "2025-03-03"), 40),
        ("0001-01-01", "9999-12-31", ("0001-01-01", "9999-12-31"), 70),
        ("1999-01-01", "1999-12-31", ("1999-01-01", "1999-12-31"), 0),
    ],
)
def test_whole_utc_days(call, acme, start, end, echoed, sent):
    for text, number in (("2025-03-01", 10), ("2025-03-02", 20), ("2025-03-03", 40)):
        count_server(acme.server, day(text), sent=number)
    data = call(PATH, {"start_date": start, "end_date": end}, key=acme.key)["data"]
    assert (data["start_date"], data["end_date"]) == (f"{echoed[0]}T00:00:00Z", f"{echoed[1]}T23:59:59Z")
    assert data["server"]["sent_emails"] == sent
    # What is echoed asks for the same.
    assert call(PATH, {name: data[name] for name in ("start_date", "end_date")}, key=acme.key)["data"] == data


def test_the_documents_errors(call, acme):
    assert call(PATH, {"end_date": RANGE["end_date"]}, key=acme.key) == golden("servers-email-stats-missing")
    assert call(PATH, RANGE | {"start_date": "01/02/2025"}, key=acme.key) == golden("servers-email-stats-format")
    backwards = {"start_date": RANGE["end_date"], "end_date": RANGE["start_date"]}
    assert call(PATH, backwards, key=acme.key) == golden("servers-email-stats-range")


@pytest.mark.parametrize("value", [None, ""])
def test_it_rejects_what_is_missing(call, acme, value):
    assert call(PATH, {}, key=acme.key) == parameter_error("start_date is required")
    assert call(PATH, {"start_date": "2025-01-01"}, key=acme.key) == parameter_error("end_date is required")
    assert call(PATH, RANGE | {"end_date": value}, key=acme.key) == parameter_error("end_date is required")
    # What is missing is told before what is wrong.
    assert call(PATH, {"start_date": "x"}, key=acme.key) == parameter_error("end_date is required")


@pytest.mark.parametrize(
    "value",
    [
        "today", "2025-02-30", "2025-13-01", "20250101", "2025-W01-1", "2025-001", "2025-01-01T24:30:00Z",
        "2025-01-01x00:00:00", "2025-01-01T00:00:00 02:00", "2025-01-01T00:00:00Z ", "0000-01-01", "10000-01-01",
        "2025-01-01T00:00:00+25:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "٢٠٢٥-٠١-٠١",
        "2025-01-01T00:00:60Z", "2025-01-01\n", 20250101, 1.5, True, [], {}, " ", "1" * 100_000,
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_it_rejects_what_is_no_date(call, acme, name, value):
    assert call(PATH, RANGE | {name: value}, key=acme.key) == golden("servers-email-stats-format")


def test_it_rejects_only_start_after_end(call, acme):
    at = "2025-01-01T10:00:00Z"
    assert call(PATH, {"start_date": at, "end_date": at}, key=acme.key)["status"] == "success"
    later = {"start_date": "2025-01-01T10:00:01Z", "end_date": at}
    assert call(PATH, later, key=acme.key) == golden("servers-email-stats-range")


def test_it_takes_three_queries(call, acme, django_assert_num_queries):
    count_server(acme.server, NOW, sent=1)
    call(PATH, RANGE, key=acme.key)
    # 1. the key; 2. the first and last day that anything was counted; 3. the sum.
    with django_assert_num_queries(3):
        call(PATH, RANGE | {"end_date": "2030-01-01"}, key=acme.key)


def test_it_rejects_wrong_keys(call, acme, suspended):
    assert call(PATH, RANGE) == NO_KEY
    assert call(PATH, RANGE, key="wrong") == WRONG_KEY
    assert call(PATH, RANGE, key=suspended.key) == SUSPENDED


@pytest.mark.parametrize("cause", [psycopg.OperationalError, psycopg.errors.UndefinedTable])
def test_counts_that_cannot_be_read_are_told_beside_zero(call, acme, monkeypatch, cause):
    def fail(*_):
        raise DatabaseError("cannot be read") from cause()

    monkeypatch.setattr(queries, "sent_between", fail)
    answer = call(PATH, RANGE, key=acme.key)
    assert answer["status"] == "success"
    assert answer["data"]["server"] == {
        "uuid": str(acme.server.uuid),
        "name": acme.server.name,
        "permalink": acme.server.permalink,
        "sent_emails": 0,
        "error": "The statistics of this server could not be read; try again in a moment",
    }


def test_a_database_that_is_away_is_an_error_never_zero(call, acme, monkeypatch):
    def fail(*_, **__):
        raise OperationalError("server closed the connection") from psycopg.OperationalError()

    def fail_from_now_on(*_, **__):
        monkeypatch.setattr(Server.objects.__class__, "filter", fail)
        fail()

    monkeypatch.setattr(queries, "sent_between", fail_from_now_on)
    answer = call(PATH, RANGE, key=acme.key, status=503)
    assert answer["data"] == {"code": "Unavailable", "message": "The service is busy; try again in a moment"}
