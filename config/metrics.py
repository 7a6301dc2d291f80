"""Metrics of this installation, in Prometheus's text format.

Requests are measured in each web process and added up over those of one machine (PROMETHEUS_MULTIPROC_DIR, which
config/gunicorn.py sets). What is true of the whole installation is read from the database at each scrape. Nothing here names
a tenant.
"""

import hmac
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http import HTTPStatus

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import stats.reports.health
from alerts import metrics
from core.models import Job
from stats.counts.buckets import Grain
from stats.ledger import outbox
from stats.ledger.database import IS_APART
from stats.models import ServerCount
from stats.reports.reader import ZERO, rows_of, sums_of

logger = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_SECONDS = Histogram(
    "sluice_http_request_seconds",
    "Time to answer a request, by route and status.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class Measure:
    """The middleware that times every request. The route, not the path, is the label: it has few values."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        match = getattr(request, "resolver_match", None)
        method = request.method if request.method in METHODS else "other"
        route = match.route if match else "none"
        try:
            REQUEST_SECONDS.labels(method, route, response.status_code).observe(time.perf_counter() - began)
        except (OSError, IndexError) as problem:
            # The folder's files cannot grow on a full disk; a file that failed to is later taken for longer than it is. What
            # cannot be measured must not break what was answered.
            logger.warning("request_not_measured", cause=str(problem))
        return response


class Installation(Collector):
    """Metrics of the database, queried at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield nothing of a database that does not answer, so that the other metrics are still available."""
        for part in (self._of_jobs, self._of_events, self._of_alerts):
            try:
                yield from part()
            except DatabaseError as problem:
                logger.warning("metrics_incomplete", cause=str(problem))

    def describe(self) -> list[Metric]:
        """Return no names, so that registering the collector does not query the database."""
        return []

    def _of_jobs(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("sluice_jobs", "Jobs by state.", labels=["state"])
        found = dict(Job.objects.order_by().values_list("state").annotate(Count("id")))
        for state in Job.State.values:
            jobs.add_metric([state], found.get(state, 0))
        yield jobs

    def _of_events(self) -> Iterator[Metric]:
        behind = stats.reports.health.lag(timezone.now())
        yield GaugeMetricFamily("sluice_open_batches", "Batches of events that are not counted yet.", behind.batches)
        yield GaugeMetricFamily("sluice_open_events", "Events that are stored but not counted yet.", behind.events)
        yield GaugeMetricFamily("sluice_fold_lag_seconds", "How long the oldest open batch has waited.", behind.seconds)
        messages = CounterMetricFamily("sluice_messages", "Counted messages of all servers, by kind.", labels=["kind"])
        counted = sums_of(rows_of(ServerCount, Grain.TOTAL, [0]), "grain")
        for kind, number in asdict(next(iter(counted.values()), ZERO)).items():
            messages.add_metric([kind], number)
        yield messages
        if IS_APART:
            left = outbox.waiting(now=timezone.now())
            yield GaugeMetricFamily("sluice_outbox_entries", "Batches that consumers should have been told of.", left)

    def _of_alerts(self) -> Iterator[Metric]:
        alerts = GaugeMetricFamily(
            "sluice_alerts", "Open alerts of the platform, by condition and severity.", labels=["condition", "severity"]
        )
        for (condition, severity), number in metrics.open_alerts().items():
            alerts.add_metric([condition, severity], number)
        yield alerts
        waiting = metrics.waiting(timezone.now())
        yield GaugeMetricFamily("sluice_alert_messages", "Messages of alerts that are not sent yet.", waiting.messages)
        yield GaugeMetricFamily(
            "sluice_alert_message_age_seconds", "How long the oldest of them has waited.", waiting.seconds
        )


def page(request: HttpRequest) -> HttpResponse:
    """Answer a scrape; with SLUICE_METRICS_TOKEN set, only one that bears it."""
    expected = f"Bearer {settings.SLUICE_METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    if settings.SLUICE_METRICS_TOKEN and not hmac.compare_digest(given.encode(), expected.encode()):
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)


def registry() -> CollectorRegistry:
    """Return the metrics of all processes of this machine if they share a folder, else of this one."""
    shown = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(shown)
    else:
        shown.register(REGISTRY)
    shown.register(Installation())
    return shown
