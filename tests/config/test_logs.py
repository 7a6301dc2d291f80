"""Logs are one JSON object a line, carry the request's id, and hold no secrets."""

import io
import json
import logging
import logging.config
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.test import Client

from config import logs


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
