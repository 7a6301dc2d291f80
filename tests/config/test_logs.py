"""Logs are one JSON object a line, carry the request's id, and hold no secrets."""

import datetime
import io
import json
import logging
import logging.config
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import get_resolver
from django.utils.functional import SimpleLazyObject

from config import logs
from config.request_log import RequestLog
from core.models import User


@pytest.fixture
def lines(settings) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log as production does, and give back the lines."""
    logging.config.dictConfig(logs.configure(form="json", level="INFO"))
    [handler] = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    stream = io.StringIO()
    handler.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.config.dictConfig(settings.LOGGING)


def test_both_ways_in_leave_as_json(lines) -> None:
    structlog.get_logger("sluice.test").info("pool_assigned", pool="Übersee")
    logging.getLogger("celery.worker").warning("lost %s", "broker", extra={"attempt": 2})
    one, other = lines()
    assert {**one, "timestamp": ""} == {
        "event": "pool_assigned",
        "pool": "Übersee",
        "logger": "sluice.test",
        "level": "info",
        "timestamp": "",
    }
    assert {**other, "timestamp": ""} == {
        "event": "lost broker",
        "attempt": 2,
        "logger": "celery.worker",
        "level": "warning",
        "timestamp": "",
    }


def test_a_traceback_is_part_of_its_line(lines) -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        structlog.get_logger("sluice.test").exception("broke")
    [line] = lines()
    assert line["exception"].splitlines()[-1] == "ZeroDivisionError: by zero"


@pytest.mark.parametrize("key", ["password", "api_key", "X-Server-API-Key", "Authorization", "smtp_key", "secretKey"])
def test_secrets_are_blanked(lines, key: str) -> None:
    structlog.get_logger("sluice.test").info("made", **{key: "hush"}, headers={key: "hush"})
    [line] = lines()
    assert line[key] == "[removed]"
    assert line["headers"] == {key: "[removed]"}


@pytest.mark.django_db
def test_a_request_is_one_line_with_its_id_and_without_its_query(lines, client: Client) -> None:
    answer = client.get("/admin/login/?next=/admin/&key=hush", REMOTE_ADDR="192.0.2.7")
    [line] = [line for line in lines() if line["event"] == "request_finished"]
    assert line["request"] == "GET /admin/login/"
    assert line["code"] == 200
    assert line["ip"] == "192.0.2.7"
    assert line["request_id"] == answer["X-Request-ID"]
    assert uuid.UUID(line["request_id"])
    assert line["ms"] >= 0


@pytest.mark.django_db
def test_what_a_client_does_wrong_is_a_warning_of_one_line(lines, admin_client: Client) -> None:
    lines()
    answers = [
        admin_client.get("/admin/login/", headers={"host": "evil.example"}),
        admin_client.get(
            "/admin/autocomplete/",
            {"app_label": "servers", "model_name": "server", "field_name": "nothing", "term": "a"},
        ),
        admin_client.get("/admin/servers/server/", {"organization__permalink__regex": "^a"}),
        admin_client.get("/admin/login/?" + "a=1&" * 20_000),
        admin_client.post("/admin/login/", b"x", content_type="multipart/form-data; boundary=" + "a" * 300),
    ]
    assert {each.status_code for each in answers} <= {302, 400, 403}
    told = lines()
    assert not [line for line in told if line["level"] in ("error", "critical") or "exception" in line], told


@pytest.mark.django_db
def test_a_request_that_django_refuses_is_told_without_its_query(lines, client: Client) -> None:
    for headers in ({"host": "evil.example"}, {}):
        client.get("/admin/login/", {"q": "roger@example.com"}, headers=headers)
    client.post("/admin/login/?q=roger@example.com", {"username": "ann"})
    Client(enforce_csrf_checks=True).post("/admin/login/?q=roger@example.com", {"username": "ann"})
    told = lines()
    assert {"django.security.DisallowedHost", "django.security.csrf"} <= {line["logger"] for line in told}
    assert {line["request"] for line in told if line["logger"].startswith("django.security")} == {
        "GET /admin/login/",
        "POST /admin/login/",
    }
    assert "roger" not in json.dumps(told)


@pytest.mark.django_db
def test_the_line_of_a_request_names_who_asked_and_holds_no_token(lines, client: Client) -> None:
    person = User.objects.create_user("ann", password=None, is_staff=True)
    client.force_login(person)
    client.get("/admin/")
    client.logout()
    client.get(f"/api/v1/event/{'k' * 32}/x")
    signed_in, unknown = (line for line in lines() if line["event"] == "request_finished")
    assert signed_in.keys() == {
        "code", "request", "event", "request_id", "user_id", "ip", "ms", "logger", "level", "timestamp",
    }  # fmt: skip
    assert signed_in.keys() == unknown.keys()
    assert (signed_in["user_id"], signed_in["level"]) == (person.pk, "info")
    assert (unknown["user_id"], unknown["level"], unknown["code"]) == (None, "warning", 404)
    assert unknown["request"].startswith("GET /api/v1/event/[removed]")
    assert "kkk" not in unknown["request"]
    assert datetime.datetime.fromisoformat(unknown["timestamp"]).tzinfo == datetime.UTC


def addresses_with_tokens(resolver: Any, before: str = "/") -> Iterator[str]:
    """Yield the address of every page whose path has a word that lets in whoever has it."""
    for each in resolver.url_patterns:
        path = before + str(each.pattern)
        if hasattr(each, "url_patterns"):
            yield from addresses_with_tokens(each, path)
        elif {"token", "key", "secret"} & each.pattern.regex.groupindex.keys():
            # Of letters, digits, - and _, with no run that is long enough to be told from words, but in one of them the first.
            for first in ("WzEsImEi", "WzEsImFubmFubmFubkBhbm4uZXhhbXBsZSJd"):
                yield re.sub(r"<(\w+:)?\w+>", f"{first}:1xXKUU:0OBY3yr2-hush_CZ7713fhptn2-EPOzbUv69MkhzN8", path)


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_has_the_token_of_a_page(settings, form: str) -> None:
    """Invitations, passwords, reports: also where a request is refused, and whatever letters the token happens to have."""
    addresses = list(addresses_with_tokens(get_resolver()))
    assert len(addresses) >= 2 * 4
    logging.config.dictConfig(logs.configure(form=form, level="INFO"))
    [handler] = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    stream = io.StringIO()
    handler.setStream(stream)
    try:
        for address in addresses:
            Client().get(address)
            Client(enforce_csrf_checks=True).post(address, {"do": "decline"})
            logging.getLogger("gunicorn.error").warning("Error handling request %s", address)
    finally:
        logging.config.dictConfig(settings.LOGGING)
    told = stream.getvalue()
    assert told.count("[removed]") >= 4 * len(addresses)
    assert not re.search("WzEs|1xXK|0OBY|hush|Mkhz", told)


@pytest.mark.django_db
def test_what_is_logged_meanwhile_has_the_requests_id_client_and_user(lines) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        structlog.get_logger("sluice.test").info("meanwhile")
        return HttpResponse()

    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    request.user = SimpleLazyObject(AnonymousUser)
    RequestLog(answer)(request)
    structlog.get_logger("sluice.test").info("afterwards")
    meanwhile, finished, afterwards = lines()
    bound = {"request_id": finished["request_id"], "ip": "192.0.2.7", "user_id": None}
    assert bound.items() <= meanwhile.items()
    assert not bound.keys() & afterwards.keys()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("form", "level", "told"), [("json", "DEBUG", 2), ("console", "INFO", 1), ("json", "WARNING", 0)]
)
def test_a_request_is_told_by_form_and_level(settings, client: Client, form: str, level: str, told: int) -> None:
    logging.config.dictConfig(logs.configure(form=form, level=level))
    [handler] = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    stream = io.StringIO()
    handler.setStream(stream)
    try:
        client.get("/admin/login/")
    finally:
        logging.config.dictConfig(settings.LOGGING)
    about = [line for line in stream.getvalue().splitlines() if "GET /admin/login/" in line]
    assert len(about) == told
    assert sum("request_started" in line for line in about) == (level == "DEBUG")


@pytest.mark.django_db
def test_a_client_does_not_choose_its_requests_id(client: Client) -> None:
    assert client.get("/admin/login/", headers={"x-request-id": "x" * 9000})["X-Request-ID"] != "x" * 9000


@pytest.mark.parametrize(
    ("form", "level", "told"),
    [
        ("console", "INFO", ["task_failed"]),
        ("console", "DEBUG", ["task_started", "task_failed"]),
        ("json", "INFO", ["task_started", "task_failed"]),
    ],
)
def test_at_a_terminal_only_tasks_that_failed_are_told(settings, form: str, level: str, told: list[str]) -> None:
    """Every five seconds a task would push away what somebody reads; the first operator's password stood there."""
    logging.config.dictConfig(logs.configure(form=form, level=level))
    [handler] = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    stream = io.StringIO()
    handler.setStream(stream)
    try:
        tasks = structlog.get_logger("django_structlog.celery.receivers")
        tasks.info("task_started")
        logging.getLogger("celery.worker.strategy").info("received")
        logging.getLogger("celery.app.trace").info("succeeded")
        tasks.error("task_failed")
    finally:
        logging.config.dictConfig(settings.LOGGING)
    assert [
        word for word in ("task_started", "received", "succeeded", "task_failed") if word in stream.getvalue()
    ] == told
