"""Probes: /healthz (the process answers), /readyz (it can work) and /metrics.

They are answered before anything else: probes come by IP address (no ALLOWED_HOSTS), over plain HTTP and without a session.
"""

import os
import re
import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from pathlib import Path

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

import stats.reports.health
from api.problems import RETRY_AFTER
from config import embedded, metrics
from config.celery import app
from stats.ledger.database import ALIAS, CONFIGURATION, IS_APART

logger = structlog.get_logger(__name__)

# Seconds that a probe waits for the broker.
BROKER_TIMEOUT = 2
# Told, and no reason to take a process out: configuration pages, APIs and policies need no counts.
STATISTICS_AWAY = "the database of the statistics does not answer"
BROKER_TIMEOUTS = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}


class NotReady(Exception):
    """A check failed. The message is public, so it has no addresses."""


def check_database() -> None:
    """Fail if the database does not answer."""
    try:
        with connections[CONFIGURATION].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as problem:
        raise NotReady("the database does not answer") from problem


def check_statistics() -> None:
    """Tell that the statistics' own database does not answer. A process works on without it."""
    try:
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as problem:
        raise NotReady(STATISTICS_AWAY) from problem


_migrated = False


def check_migrations() -> None:
    """Fail if migrations are not applied. Once all are applied, this is not checked again."""
    global _migrated
    if _migrated:
        return
    for alias in dict.fromkeys((CONFIGURATION, ALIAS)):
        try:
            executor = MigrationExecutor(connections[alias])
            waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as problem:
            raise NotReady(
                "the applied migrations cannot be read" if alias == CONFIGURATION else STATISTICS_AWAY
            ) from problem
        if waiting:
            raise NotReady(f"{len(waiting)} migrations are not applied")
    _migrated = True


def check_broker() -> None:
    """Fail if tasks cannot be sent: the broker is unreachable, hangs, or is out of memory."""
    if not settings.REDIS_URL:
        folder = Path(str(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_out"]))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise NotReady("the broker's folder cannot be written")
        return
    try:
        with app.connection_for_write(transport_options=BROKER_TIMEOUTS) as broker:
            broker.ensure_connection(max_retries=0, timeout=BROKER_TIMEOUT)
            broker.default_channel.client.set("sluice.ready", 1, ex=60)
    except ResponseError as problem:
        raise NotReady("the broker does not accept messages") from problem
    except (OSError, OperationalError, RedisError) as problem:
        raise NotReady("the broker does not answer") from problem


def check_disk() -> None:
    """Fail if the embedded installation cannot write its files. Production stores nothing on this disk."""
    if settings.IS_PRODUCTION:
        return
    try:
        fault = embedded.fault_of(settings.SLUICE_DATA_DIR)
    except OSError as problem:
        raise NotReady("the data folder cannot be read") from problem
    if fault:
        raise NotReady(f"the data folder {fault}")


def check_counting() -> None:
    """Fail if stored events have waited too long to be counted."""
    try:
        behind = stats.reports.health.lag(timezone.now())
    except DatabaseError as problem:
        raise NotReady(STATISTICS_AWAY if IS_APART else "the open batches cannot be read") from problem
    if behind.is_too_long:
        raise NotReady(f"events have waited {behind.seconds:.0f} seconds to be counted")


# Checks before this process gets work, in the order of reporting.
CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "migrations": check_migrations,
    "broker": check_broker,
    "disk": check_disk,
    "counting": check_counting,
}

# Where the statistics have a database of their own, whether that answers is told first.
if IS_APART:
    CHECKS = {"database": check_database, "statistics": check_statistics, **CHECKS}
# What each check needs, and is not asked without.
NEEDS = {"migrations": "database", "counting": "statistics" if IS_APART else "database"}


# Seconds after which a check that goes on failing is logged again: probes come several times a second.
TOLD_EVERY = 60
# By check: what was logged last, without its numbers, and when.
_told: dict[str, tuple[str, float]] = {}


def _tell(check: str, problem: NotReady) -> None:
    kind, now = re.sub("[0-9]+", "", str(problem)), time.monotonic()
    before, told_at = _told.get(check, ("", 0.0))
    if kind != before or now - told_at > TOLD_EVERY:
        _told[check] = kind, now
        logger.warning("not_ready", check=check, reason=str(problem), cause=str(problem.__cause__ or ""))


def readiness(excluded: Collection[str] = ()) -> dict[str, str]:
    """Return the result of each check that is not excluded: "ok" or a sentence part.

    An unreachable database is waited for once only.
    """
    answers: dict[str, str] = {}
    for name, check in CHECKS.items():
        if name in excluded:
            continue
        if answers.get(NEEDS.get(name, ""), "ok") != "ok":
            answers[name] = answers[NEEDS[name]]
            continue
        try:
            check()
            answers[name] = "ok"
        except NotReady as problem:
            answers[name] = str(problem)
            _tell(name, problem)
        else:
            _told.pop(name, None)
    return answers


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer without I/O: restarting this process must not depend on a database."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 if all checks pass, else 503, with the results. `?exclude=NAME`, as often as wanted, leaves a check out."""
    answers = readiness(request.GET.getlist("exclude"))
    ready = all(answer in ("ok", STATISTICS_AWAY) for answer in answers.values())
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return HttpResponse(
        orjson.dumps({"ready": ready, "checks": answers}),
        status=status,
        content_type="application/json",
        headers={} if ready else {"Retry-After": str(RETRY_AFTER)},
    )


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics.page,
}


class Probes:
    """The middleware that answers the probes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        answer = probe(request)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Content-Length"] = str(len(answer.content))
        return answer
