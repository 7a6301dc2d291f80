"""The base view: plain data out, problems in the dialect, bugs never swallowed."""

import pytest
from django.db import connection
from django.test import Client, RequestFactory

from api import fallbacks
from api.problems import Code, Declined, Problem
from core import errors
from tests.api import urls

pytestmark = pytest.mark.urls("tests.api.urls")


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def answer_of(response):
    body = response.json()
    assert list(body) == ["status", "time", "flags", "data"]
    assert 0 <= body.pop("time") < 5
    assert response["Content-Type"] == "application/json"
    return response.status_code, body


def test_it_wraps_plain_data(client):
    assert answer_of(client.get("/api/probe")) == (200, {"status": "success", "flags": {}, "data": {"plain": True}})


def test_it_wraps_an_answer_with_flags(client):
    response = client.post("/api/probe", b'{"a": 1}', content_type="text/plain")
    assert answer_of(response) == (
        200,
        {"status": "success", "flags": {"seen": True}, "data": {"size": 8, "json": {"a": 1}}},
    )


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/json;q=0", "nonsense", ""])
def test_accept_changes_nothing(client, accept):
    assert answer_of(client.get("/api/probe", headers={"Accept": accept})) == (
        200,
        {"status": "success", "flags": {}, "data": {"plain": True}},
    )


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_it_rejects_a_wrong_verb_without_a_query(client, method):
    expected = {"code": "MethodNotAllowed", "message": "This URL does not answer this method"}
    assert answer_of(client.generic(method, "/api/probe")) == (
        200,
        {"status": "error", "flags": {}, "data": expected},
    )


def test_headers_promise_only_what_is_kept(client):
    response = client.options("/api/probe")
    assert {name: response.headers.get(name) for name in ("Allow", "Vary")} == {
        "Allow": "GET, POST, PUT, HEAD",
        "Vary": None,
    }


def test_head_answers_like_get_without_a_body(client):
    response = client.head("/api/probe")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("raised", "status", "code", "message"),
    [
        (errors.NotFound(), 200, "NotFound", "The record could not be found"),
        (errors.NotAllowed("No."), 200, "AccessDenied", "No."),
        (errors.Conflict("Busy."), 200, "Conflict", "Busy."),
        (errors.Invalid(errors.Fault("ip_pool", "is odd"), errors.Fault("", "All wrong")), 200, "ValidationError",
         "Ip pool is odd, All wrong"),
        (Declined(Problem("InvalidServer", ("Which?",), 200)), 200, "InvalidServer", "Which?"),
        (Declined(Problem.of(Code.TOO_MANY, retry_after=7)), 429, "TooManyRequests",
         "Too many requests; try again later"),
    ],
)  # fmt: skip
def test_it_says_a_problem_in_the_dialect(client, raised, status, code, message):
    urls.RAISED.append(raised)
    assert answer_of(client.get("/api/probe")) == (
        status,
        {"status": "error", "flags": {}, "data": {"code": code, "message": message}},
    )


def test_each_page_has_its_own_parameter_error(client):
    message = "The request is not valid JSON: unexpected end of data at character 2"
    servers = client.post("/api/probe", b"[", content_type="application/json")
    pools = client.post("/api/pools", b"[", content_type="application/json")
    assert answer_of(servers) == (200, {"status": "parameter-error", "flags": {}, "data": {"message": message}})
    assert answer_of(pools) == (
        200,
        {"status": "error", "flags": {}, "data": {"code": "ParameterError", "message": message}},
    )


def test_retry_after_goes_with_what_may_work_later(client):
    urls.RAISED.append(Declined(Problem.of(Code.TOO_MANY, retry_after=7)))
    assert client.get("/api/probe")["Retry-After"] == "7"


def test_a_bug_is_never_swallowed():
    urls.RAISED.append(KeyError("bug"))
    with pytest.raises(KeyError, match="bug"):
        Client().get("/api/probe")


CRASHED = {
    "status": "error",
    "flags": {},
    "data": {"code": "InternalServerError", "message": "An internal error occurred"},
}


@pytest.mark.filterwarnings("ignore")
def test_a_crash_answers_in_the_dialect(client, caplog):
    urls.RAISED.append(KeyError("bug"))
    assert answer_of(client.get("/api/probe")) == (500, CRASHED)
    assert "request_failed" in caplog.text


def test_an_unsayable_shape_crashes_in_the_dialect(client):
    assert answer_of(client.put("/api/probe")) == (500, CRASHED)


NOT_THERE = {"status": "error", "flags": {}, "data": {"code": "NotFound", "message": "There is nothing at this URL"}}


@pytest.mark.parametrize("path", ["/api/v1/none", "/api/", "/api/v1/servers/list/", "/api/v1/%00", "/api/v1/..%2f"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_url_answers_in_the_dialect(client, path, method):
    assert answer_of(client.generic(method, path)) == (404, NOT_THERE)


def test_an_unknown_page_answers_as_django_does(client):
    response = client.get("/nowhere")
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_a_strange_host_answers_in_the_dialect(client):
    response = client.get("/api/probe", headers={"Host": "evil.example"})
    assert answer_of(response) == (
        200,
        {"status": "parameter-error", "flags": {}, "data": {"message": "The request could not be read"}},
    )


def test_fallbacks_need_no_database(client):
    # No database mark: pytest-django would refuse any query.
    assert connection.in_atomic_block is False
    response = fallbacks.handler500(RequestFactory().get("/api/v1/servers/list"))
    assert answer_of_bytes(response) == (500, CRASHED)


def answer_of_bytes(response):
    import json

    body = json.loads(response.content)
    body.pop("time")
    return response.status_code, body
