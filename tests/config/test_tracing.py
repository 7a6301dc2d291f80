"""Traces go to a collector when it is named, with nothing secret in them; otherwise nothing of it is even imported."""

import contextlib
import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import production
from tools import panel

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


class Collector:
    """Takes what an OTLP collector takes, by HTTP, and keeps the spans."""

    def __init__(self) -> None:
        trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        self.spans: list[tuple[str, Any]] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                for resource in trace_service.ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {each.key: each.value.string_value for each in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        collector.spans += [(names["service.name"], span) for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def named(self, service: str, name: str) -> list[Any]:
        return [span for source, span in list(self.spans) if (source, span.name) == (service, name)]

    def wait_for(self, service: str, name: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := self.named(service, name)):
            assert time.monotonic() < deadline, sorted({(source, span.name) for source, span in self.spans})
            time.sleep(0.1)
        return found[0]


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    thread = threading.Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@contextlib.contextmanager
def worker_of_processes(environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run a worker that forks, as in production; `up` has one of threads."""
    command = [sys.executable, "-m", "sluice", "worker", "--concurrency", "1"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output) as worker,
    ):
        yield
        worker.terminate()
        assert worker.wait(PATIENCE) == 0, log.read_text()


@pytest.mark.server
@pytest.mark.parametrize("forks", [pytest.param(False, marks=pytest.mark.long), True])
def test_it_works(collector: Collector, tmp_path: Path, *, forks: bool) -> None:
    places = {"SLUICE_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200", "WEB_CONCURRENCY": "1"}
    with contextlib.ExitStack() as stack:
        sluice = stack.enter_context(panel.running(tmp_path, places, worker=not forks, static=False))
        if forks:
            stack.enter_context(worker_of_processes(sluice.environment, tmp_path / "forking.log"))
        sluice.manage("create_organization", "ACME Inc", "--permalink", "acme")
        key = sluice.manage_json("create_server", "acme", "Mail")["api_key"]
        event = {"id": "secret-id", "type": "sent", "at": time.time(), "from": "a@acme.example", "to": "b@gmail.com"}
        headers = {
            "X-Server-API-Key": key,
            "Content-Type": "application/json",
            # Nobody asked this client to name a trace.
            "traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
        }
        request = urllib.request.Request(
            f"{sluice.url}/api/v1/events?q=secret-query", json.dumps(event).encode(), headers
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["data"]["accepted"] == 1
            request_id = answer.headers["X-Request-ID"]
        urllib.request.urlopen(f"{sluice.url}/healthz").close()
        span = collector.wait_for("sluice-web", "POST api/v1/events")
        task = collector.wait_for("sluice-worker", "stats.tasks.fold_batches")
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "api/v1/events",
        "http.response.status_code": 200,
        "sluice.request_id": request_id,
    }
    assert (span.parent_span_id, span.trace_id.hex() == "1" * 32) == (b"", False)
    inside = [each for _, each in collector.spans if each.trace_id == span.trace_id]
    statements = [each for each in inside if "db.query.text" in attributes(each)]
    assert {attributes(each)["db.system.name"] for each in statements} == {"sqlite"}
    assert any(attributes(each)["db.query.text"].startswith("INSERT INTO") for each in statements)
    # The task that the request sent belongs to its trace, and so do the task's statements.
    assert task.trace_id == span.trace_id
    assert any(each.parent_span_id == task.span_id for each in statements)
    told = "".join(str(each) for _, each in collector.spans)
    for secret in (key, "secret-id", "secret-query", "gmail.com"):
        assert secret not in told
    assert not [each for _, each in collector.spans if "healthz" in each.name]


def imported(**variables: str) -> str:
    """Return whether a web process imports our module and the exporter."""
    # redis has a look at it, where it is installed.
    code = "import config.wsgi, sys; print('config.tracing' in sys.modules, 'opentelemetry.exporter' in sys.modules)"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_off_nothing_is_imported(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk")
    assert imported(SLUICE_DATA_DIR=str(tmp_path)) == "False False\n"
    assert imported(SLUICE_DATA_DIR=str(tmp_path), SLUICE_OTLP_ENDPOINT="http://127.0.0.1:9") == "True True\n"


def test_off_no_middleware_stands_in_the_way(settings: Any) -> None:
    assert not settings.SLUICE_OTLP_ENDPOINT
    assert "config.tracing.Requests" not in settings.MIDDLEWARE


@pytest.mark.parametrize("value", ["127.0.0.1:4318", "grpc://127.0.0.1:4317"])
def test_it_rejects_what_is_no_address(value: str) -> None:
    sentence, *_ = production.refusals({"SLUICE_OTLP_ENDPOINT": value})
    assert sentence.startswith("SLUICE_OTLP_ENDPOINT must be the address of a collector")


def test_it_rejects_an_installation_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.production.importlib.util.find_spec", lambda name: None)
    [sentence] = production.refusals({"SLUICE_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert sentence.endswith("needs the packages of requirements/otlp.txt: pip install 'sluice[otlp]'.")
