"""Traces for OpenTelemetry: requests, tasks and SQL. Imported only where SLUICE_OTLP_ENDPOINT is set.

A span has no query string, no header, no parameter of a statement and no name of a tenant. A client's `traceparent` counts only
behind a proxy of SLUICE_TRUSTED_PROXIES: otherwise anybody could put requests into a trace.
"""

from collections.abc import Callable
from typing import Any

from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun, worker_process_shutdown
from django.conf import settings
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode

from core.clients import comes_by_trusted_proxy
from sluice import __version__

# Characters of an attribute, such as a statement.
LONGEST_ATTRIBUTE = 2_000
# Names of requests that no view answers.
UNKNOWN_ROUTE = "(unknown)"

_provider: TracerProvider | None = None
_tracer = trace.get_tracer("sluice", __version__)
# Whose task runs in this thread: its span, and what ends its context.
_running: dict[str, tuple[Span, Any]] = {}


def start(process: str) -> None:
    """Send the traces of this process, and of those that it forks, to SLUICE_OTLP_ENDPOINT."""
    global _provider
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.SLUICE_OTLP_PERCENT / 100)),
        resource=Resource.create({"service.name": f"sluice-{process}", "service.version": __version__}),
        span_limits=SpanLimits(max_span_attribute_length=LONGEST_ATTRIBUTE),
    )
    # A collector that is away costs spans, not requests: a thread sends them, and what does not fit its queue is dropped.
    exporter = OTLPSpanExporter(endpoint=f"{settings.SLUICE_OTLP_ENDPOINT.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _provider = provider


class Requests:
    """The middleware that traces requests; it comes after what cleans their path and headers, and after the probes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        parent = propagate.extract(dict(request.headers)) if comes_by_trusted_proxy(request) else context.Context()
        method = request.method or ""
        with _tracer.start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:
            response = self.get_response(request)
            match = request.resolver_match
            route = match.route if match is not None else UNKNOWN_ROUTE
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": response.status_code,
                    "sluice.request_id": response.headers.get("X-Request-ID", ""),
                }
            )
            if response.status_code >= 500:
                span.set_status(StatusCode.ERROR)
        return response


@receiver(connection_created)
def trace_statements(connection: Any, **_: object) -> None:
    """Trace what is executed on a new connection."""
    if traced not in connection.execute_wrappers:
        connection.execute_wrappers.append(traced)


def traced(execute: Callable[..., Any], sql: str, params: Any, many: bool, told: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's signature
    """Execute a statement in a span, inside a request or task that is traced."""
    if not trace.get_current_span().is_recording():
        return execute(sql, params, many, told)
    vendor = told["connection"].vendor
    statement = str(sql)
    name = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    with _tracer.start_as_current_span(name, kind=SpanKind.CLIENT) as span:
        span.set_attributes({"db.system.name": vendor, "db.query.text": statement})
        return execute(sql, params, many, told)


@before_task_publish.connect
def send_the_trace_along(headers: dict[str, Any], **_: object) -> None:
    """Let the task belong to the trace of the request or task that sends it."""
    propagate.inject(headers)


@task_prerun.connect
def begin_task(task_id: str, task: Any, **_: object) -> None:
    """Begin the span of a task."""
    sent = {name: value for name in ("traceparent", "tracestate") if (value := getattr(task.request, name, None))}
    span = _tracer.start_span(task.name, context=propagate.extract(sent, context.Context()), kind=SpanKind.CONSUMER)
    _running[task_id] = span, context.attach(trace.set_span_in_context(span))


@task_failure.connect
def note_failure(task_id: str, exception: BaseException, **_: object) -> None:
    """Note what ended a task. The exception's words may name a tenant, and stay in the log."""
    if task_id in _running:
        span, _token = _running[task_id]
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", type(exception).__name__)


@task_postrun.connect
def end_task(task_id: str, **_: object) -> None:
    """End the span of a task."""
    if task_id in _running:
        span, token = _running.pop(task_id)
        context.detach(token)
        span.end()


@worker_process_shutdown.connect
def send_the_rest(**_: object) -> None:
    """Send what a worker's process still has; it ends without Python's own clean-up."""
    if _provider is not None:
        _provider.force_flush(timeout_millis=5_000)
