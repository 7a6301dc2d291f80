"""POST /api/node/v1/report"""

import time

import pytest
from django.test import Client

from nodes.models import NodeReport
from nodes.nodes import create_node
from nodes.reports import LONGEST_LIST, read_report
from tests.cast import ANN
from tests.slowness import on_this_machine

pytestmark = pytest.mark.django_db
URL = "/api/node/v1/report"
REPORT = {
    "version": "1.0",
    "mta_version": "3.7.11",
    "revision_seen": 8,
    "revision_applied": 7,
    "digest_applied": "ab" * 32,
    "overlay_applied": 3,
    "applied_at": "2026-11-27T18:00:00Z",
    "error": "postfix: fatal\nnext line",
    "addresses_present": ["192.0.2.1"],
    "spool_events": 0,
    "oldest_event": "2026-11-27T17:00:00+00:00",
    "events_refused": 2,
    "log_position": "first line, 812",
    "queue": {"active": 1, "deferred": 2},
    "drift": ["main.cf"],
    "logins": {"accepted": 5, "refused": 1},
    "suppressions": {"lists": 2, "loading": 0, "compared": 2, "entries": 7, "differed": 1},
    "suppressions_compared_at": "2026-11-27T17:10:00+00:00",
    "suppressions_differed_at": "2026-11-27T16:10:00+00:00",
}


@pytest.fixture
def key() -> str:
    return create_node(name="here", kind="haraka", actor=ANN).key


def post(key: str, body: object):
    headers = {"Authorization": f"Bearer {key}"}
    return Client().post(URL, body, content_type="application/json", headers=headers)


@pytest.mark.storage
def test_it_works(key):
    answer = post(key, REPORT | {"something": "else"})
    assert (answer.status_code, answer.json()) == (200, {"revision": None, "overlay": 0})
    report = NodeReport.objects.get()
    assert report.body == REPORT
    assert (report.version, report.mta_version) == ("1.0", "3.7.11")
    assert (report.revision_applied, report.overlay_applied) == (7, 3)
    assert report.error == "postfix: fatal\nnext line"
    assert report.at is not None


def test_the_last_report_counts(key):
    post(key, REPORT)
    assert post(key, {"revision_applied": None}).status_code == 200
    report = NodeReport.objects.get()
    assert (report.body, report.error, report.version, report.revision_applied) == ({}, "", "", None)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("revision_applied", True, "must be a whole number of at least 0"),
        ("revision_applied", -1, "must be a whole number of at least 0"),
        ("revision_seen", 2**63, "must be a whole number of at least 0"),
        ("spool_events", "3", "must be a whole number of at least 0"),
        ("error", 7, "must be a string"),
        ("applied_at", "yesterday", "must be a time with an offset"),
        ("applied_at", "2026-13-01T00:00:00Z", "must be a time with an offset"),
        ("applied_at", "0001-01-01T00:00:00+14:00", "must be a time with an offset"),
        ("suppressions_differed_at", "9999-12-31T23:59:59-12:00", "must be a time with an offset"),
        ("suppressions", {"lists": "1"}, "must be a whole number of at least 0"),
        ("applied_at", "2026-11-27T18:00:00", "must be a time with an offset"),
        ("addresses_present", "192.0.2.1", "must be an array of strings"),
        ("drift", [7], "must be a string"),
        ("queue", [1], "must be an object of whole numbers"),
        ("queue", {"active": 0.5}, "must be a whole number of at least 0"),
    ],
)
def test_it_rejects_wrong_types(key, field, value, message):
    answer = post(key, {field: value})
    assert (answer.status_code, answer.json()) == (422, {"error": {"code": "invalid", "message": f"{field} {message}"}})
    assert NodeReport.objects.get().at is None


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"error": "\\ud800"}', b'{"error": "\\u0000"}', b"\xff"])
def test_it_rejects_what_is_no_object(key, body):
    answer = post(key, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_it_rejects_much(key):
    answer = post(key, {"error": "x" * 2**23})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_it_rejects_a_wrong_key(key):
    assert post("wrong", REPORT).status_code == 401
    assert NodeReport.objects.get().body == {}


def test_texts_are_made_fit_to_be_stored(key):
    assert post(key, {"error": "\x01bad\x7f" + "x" * 5_000}).status_code == 200
    assert NodeReport.objects.get().error == "bad" + "x" * 1_995


def test_the_longest_list_has_room(key):
    """IPv6 addresses in full, as many as a list may have."""
    present = [f"2001:0db8:1111:2222:3333:4444:{each >> 16:04x}:{each & 65535:04x}" for each in range(LONGEST_LIST)]
    assert post(key, REPORT | {"addresses_present": present}).status_code == 200
    assert NodeReport.objects.get().body["addresses_present"] == present


@pytest.mark.parametrize("text", ["x" * 2_000, "\n\t" * 1_000, "\x01" * 2_000], ids=["plain", "lines", "control"])
def test_the_longest_texts_take_little_time(text):
    """Looked at sign by sign in Python, the eight megabytes that a report may have took five seconds."""
    began = time.thread_time()
    read = read_report({"drift": [text] * 4_000})
    assert time.thread_time() - began < on_this_machine(1)
    assert read["drift"][0] == text.replace("\x01", "")
