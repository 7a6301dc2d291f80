"""What probes are told, and by which host they may come."""

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import embedded, health, metrics
from stats.reports.health import Lag

ALL_WELL = {"database": "ok", "migrations": "ok", "broker": "ok", "disk": "ok", "counting": "ok"}


@pytest.fixture(autouse=True)
def unremembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(health, "_told", {})


@pytest.fixture
def probe() -> Client:
    """As a load balancer comes: by an address that is no allowed host, over plain HTTP."""
    return Client(headers={"host": "192.0.2.10:8000"})


def test_healthz_answers_without_io(probe: Client) -> None:
    """No database is allowed here at all: pytest-django would raise."""
    answer = probe.get("/healthz")
    assert (answer.status_code, answer.content, answer["Cache-Control"]) == (200, b"ok\n", "no-store")


@pytest.mark.django_db
def test_readyz_works(probe: Client) -> None:
    answer = probe.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": ALL_WELL})


@pytest.mark.django_db
def test_readyz_asks_for_migrations_once(probe: Client, django_assert_num_queries) -> None:
    probe.get("/readyz")
    # SELECT 1, and the open batches.
    with django_assert_num_queries(2):
        probe.get("/readyz")


@pytest.mark.django_db
def test_readyz_names_a_missing_migration(probe: Client) -> None:
    MigrationRecorder.Migration.objects.get(app="core", name="0002_audit_append_only").delete()
    answer = probe.get("/readyz")
    told = answer.json()
    assert answer.status_code == 503
    assert told["ready"] is False
    assert told["checks"]["migrations"].endswith("not applied")


@pytest.mark.django_db
def test_readyz_names_events_that_wait_too_long(probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stats.reports.health.lag", lambda now: Lag(batches=3, events=500, seconds=301.4))
    answer = probe.get("/readyz")
    checks = {**ALL_WELL, "counting": "events have waited 301 seconds to be counted"}
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "checks": checks})


def test_readyz_names_a_database_that_is_away(probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise DatabaseError("connection to 10.9.9.9 refused")

    monkeypatch.setattr(connection, "cursor", away)
    monkeypatch.setattr(health, "_migrated", True)
    answer = probe.get("/readyz")
    # Waited for once: the checks that need it do not try again.
    away_too = dict.fromkeys(("database", "migrations", "counting"), "the database does not answer")
    checks = {**ALL_WELL, **away_too}
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "checks": checks})


@pytest.mark.django_db
def test_readyz_names_a_broker_that_is_away(probe: Client, settings, tmp_path: Path) -> None:
    settings.REDIS_URL = ""
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_out": str(tmp_path / "gone")}
    answer = probe.get("/readyz")
    checks = {**ALL_WELL, "broker": "the broker's folder cannot be written"}
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "checks": checks})


@pytest.mark.django_db
def test_readyz_leaves_out_what_is_excluded(probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without broker or workers still takes events: where all web processes are judged alike, none would be left."""

    def away() -> None:
        raise health.NotReady("the broker does not answer")

    monkeypatch.setitem(health.CHECKS, "broker", away)
    monkeypatch.setattr("stats.reports.health.lag", lambda now: Lag(batches=3, events=500, seconds=301.4))
    assert probe.get("/readyz").status_code == 503
    answer = probe.get("/readyz?exclude=broker&exclude=counting")
    checks = {name: "ok" for name in ALL_WELL if name not in {"broker", "counting"}}
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": checks})


@pytest.mark.server
def test_a_redis_that_is_away_is_told_within_seconds(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    connect = health.app.connection_for_write
    monkeypatch.setattr(
        health.app, "connection_for_write", lambda **more: connect(settings.REDIS_URL, transport="redis", **more)
    )
    with pytest.raises(health.NotReady, match="the broker does not answer"):
        health.check_broker()


@pytest.mark.parametrize("path", health.PROBES)
def test_probes_reject_other_verbs(probe: Client, path: str) -> None:
    answer = probe.post(path)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


@pytest.mark.django_db
def test_metrics_count_requests_by_route_and_jobs_by_state(client: Client, probe: Client) -> None:
    client.get("/admin/login/")
    client.get("/no/such/page")
    text = probe.get("/metrics").content.decode()
    assert 'sluice_http_request_seconds_count{method="GET",route="admin/login/",status="200"}' in text
    assert 'sluice_http_request_seconds_count{method="GET",route="none",status="404"}' in text
    assert "/no/such/page" not in text
    assert 'sluice_jobs{state="waiting"} 0.0' in text
    for gauge in ("open_batches", "open_events", "fold_lag_seconds"):
        assert f"sluice_{gauge} 0.0" in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer s3cret", 200), ("Bearer other", 401), ("s3cret", 401), ("Bearer é", 401), (None, 401)],
)
def test_metrics_want_the_token_where_one_is_set(probe: Client, settings, authorization: str, status: int) -> None:
    settings.SLUICE_METRICS_TOKEN = "s3cret"
    headers = {"authorization": authorization} if authorization else {}
    assert probe.get("/metrics", headers=headers).status_code == status


def test_metrics_answer_without_a_database(probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> None:
        raise DatabaseError("away")

    for part in ("_of_jobs", "_of_events", "_of_alerts"):
        monkeypatch.setattr(f"config.metrics.Installation.{part}", away)
    answer = probe.get("/metrics")
    assert answer.status_code == 200
    assert b"sluice_jobs" not in answer.content


@pytest.mark.parametrize("problem", [OSError(27, "File too large"), IndexError("mmap slice assignment is wrong size")])
def test_what_cannot_be_measured_is_answered(
    probe: Client, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """On a full disk the files of prometheus_client cannot grow."""

    def labels(*_: object) -> None:
        raise problem

    monkeypatch.setattr(metrics.REQUEST_SECONDS, "labels", labels)
    answer = probe.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.skipif(settings.IS_PRODUCTION, reason="Production keeps nothing on this disk")
@pytest.mark.django_db
def test_readyz_names_a_full_disk(probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    left = os.statvfs(settings.SLUICE_DATA_DIR)
    monkeypatch.setattr(embedded, "LEAST_SPACE", left.f_bavail * left.f_frsize * 2)
    answer = probe.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["disk"].startswith("the data folder is on a full disk (")
    assert answer["Retry-After"] == "5"


@pytest.mark.django_db
def test_what_goes_on_failing_is_logged_once_a_minute(
    probe: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Probes come several times a second while `make run` starts."""
    left, seconds = iter(range(30)), [1_000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: seconds[0])
    monkeypatch.setitem(health.CHECKS, "disk", lambda: _fail(f"the disk is full ({next(left)} MiB are left)"))

    def told() -> int:
        return sum("not_ready" in record.getMessage() for record in caplog.records)

    for _ in range(5):
        assert probe.get("/readyz").status_code == 503
    assert told() == 1
    monkeypatch.setitem(health.CHECKS, "disk", lambda: _fail("the data folder cannot be written"))
    probe.get("/readyz")
    assert told() == 2
    seconds[0] += health.TOLD_EVERY + 1
    probe.get("/readyz")
    assert told() == 3
    # Again after it was well.
    monkeypatch.setitem(health.CHECKS, "disk", lambda: None)
    assert probe.get("/readyz").status_code == 200
    monkeypatch.setitem(health.CHECKS, "disk", lambda: _fail("the data folder cannot be written"))
    probe.get("/readyz")
    assert told() == 4


def _fail(reason: str) -> None:
    raise health.NotReady(reason)
