"""The tasks as they run in production: a real worker, and messages through a real Valkey."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from config.celery import app
from stats.intake.ingest import Receipt, Reporter, ingest
from stats.models import Batch, RollupRun
from tests.stats.conftest import Tenant, make_tenant
from tests.stats.events import assert_counted, random_events

pytestmark = [
    pytest.mark.server,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not settings.REDIS_URL, reason="there is no Valkey beside SQLite"),
]

SECONDS = 90


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1")


@pytest.fixture
def worker(acme: Tenant, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker on the test's own database, ended whatever happens."""
    # Not by monkeypatch: these settings take values, but give none back.
    app.conf.task_always_eager = False
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "REDIS_URL": settings.REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "config.celery",
        "worker",
        "--pool",
        "solo",
        "--loglevel",
        "WARNING",
    ]
    app.control.purge()
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            app.conf.task_always_eager = True
            process.terminate()
            process.wait(30)


def wait_for(is_done: Callable[[], bool], worker: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_done():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_a_worker_folds_and_a_message_delivered_twice_changes_nothing(
    acme: Tenant, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    # A worker reads the real clock.
    now = timezone.now()
    events = random_events([acme], 120, seed=21, until=now)
    assert ingest(events[:60], reporter=Reporter(), now=now) == Receipt(accepted=60)
    assert ingest(events[60:], reporter=Reporter(), now=now) == Receipt(accepted=60)
    app.send_task("stats.tasks.fold_batches", task_id="the same")
    app.send_task("stats.tasks.fold_batches", task_id="the same")
    # It takes one after the other: when this one is done, so are those before.
    app.send_task("stats.tasks.audit_counts")
    log = tmp_path / "worker.log"
    wait_for(lambda: RollupRun.objects.filter(kind=RollupRun.Kind.AUDIT).exists(), worker, log)
    assert not Batch.objects.filter(folded_at=None).exists()
    runs = RollupRun.objects.order_by("id").values_list("kind", "outcome", "batches", "events")
    assert list(runs) == [("fold", "done", 2, 120), ("audit", "done", 0, 120)]
    assert_counted(events, now=RollupRun.objects.earliest("id").started_at)
