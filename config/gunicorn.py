"""gunicorn's configuration: `gunicorn --config config/gunicorn.py config.wsgi`.

Worker processes with threads: for a synchronous Django this is three to four times faster than an asynchronous server.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from config import environment, logs
from config.supervisor import IS_CHECKED
from core import memory

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

bind = f"{environment.text('SLUICE_BIND', '127.0.0.1')}:{environment.number('PORT', 8000, least=1)}"
# Threads, behind a buffer for slow clients.
worker_class = "config.web_worker.BufferedWorker"
# Django refuses what is too long, in the words of its address (config.middleware.LongAddresses).
limit_request_line = 0
workers = environment.number("WEB_CONCURRENCY", 2, least=1)
threads = environment.number("SLUICE_WEB_THREADS", 8, least=1)
timeout = 60
graceful_timeout = 20
# Longer than the proxy keeps a connection: a request on one that this side closes just then would fail.
keepalive = environment.number("SLUICE_KEEPALIVE", 5, least=1)
# A worker makes way for a fresh one now and then: whatever leaks, leaks little. Not all at the same time.
max_requests, max_requests_jitter = 20_000, 2_000
# By default it believes SCRIPT_NAME and X-Forwarded-Proto of everybody on the loopback. Here it believes nobody: whose headers
# count is decided by SLUICE_TRUSTED_PROXIES, in one place (config.middleware.ForwardingHeaders).
forwarded_allow_ips, forwarder_headers = "", ""
secure_scheme_headers: dict[str, str] = {}
# It opens a socket through which the server can be commanded; nothing here wants one.
control_socket_disable = True
# Requests are logged by Django, with their id; gunicorn's own lines look like the others.
accesslog = None
logconfig_dict = logs.configure(
    form=environment.text("SLUICE_LOG_FORMAT", "json" if environment.text("DATABASE_URL") else "console"),
    level=environment.text("SLUICE_LOG_LEVEL", "INFO"),
)

# Before any worker imports prometheus_client: the metrics of all of them are added up from this folder.
made_here = "PROMETHEUS_MULTIPROC_DIR" not in os.environ
metrics_folder = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix="sluice-metrics-"))
metrics_folder.mkdir(parents=True, exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)


def on_starting(server: "Arbiter") -> None:
    """Refuse an incomplete configuration. In a separate process: no connection may be open when workers are forked."""
    for left in metrics_folder.glob("*.db"):
        left.unlink(missing_ok=True)
    if IS_CHECKED in os.environ:
        return
    command = [sys.executable, "manage.py", "check", "--database", "default"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if result.returncode:
        sys.exit(result.stderr.strip())


# systemd would be told that gunicorn is ready before any worker is.
notified = os.environ.pop("NOTIFY_SOCKET", "")


def post_worker_init(worker: "Worker") -> None:
    """Let the garbage collector rest, and tell systemd, where it asks, that this process answers."""
    memory.collect_rarely()
    if notified:
        from gunicorn import systemd

        os.environ["NOTIFY_SOCKET"] = notified
        systemd.sd_notify("READY=1", worker.log, unset_environment=True)


def child_exit(server: "Arbiter", worker: "Worker") -> None:
    """Remove the gauges of an ended worker; its counters are kept."""
    from prometheus_client import multiprocess

    with contextlib.suppress(OSError):
        multiprocess.mark_process_dead(worker.pid)


def on_exit(server: "Arbiter") -> None:
    """Delete the temporary folder."""
    if made_here:
        shutil.rmtree(metrics_folder, ignore_errors=True)
