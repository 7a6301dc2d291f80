"""`manage.py up`: run all of Sluice in one terminal. `make run` calls it."""

import errno
import fcntl
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import CommandError, call_command

import sluice
from config import checks, embedded, environment
from config.operators import make_first_operator
from config.supervisor import IS_CHECKED, Supervisor, how_it_ended
from core.audit import Actor
from core.commands import PlainCommand

# Celery warns whoever is root, in nine lines. Who says `make run` as root has decided that.
KNOWN_WARNINGS = "ignore:You're running the worker with superuser privileges"
# Seconds that the web process has to answer before the others are started, too.
ALONE = 30
# What to call, for the person at the terminal.
RUN, RESET_PASSWORD, DEMO = (
    ("sluice up --port {port}", "sluice reset_password", "sluice load_demo")
    if sluice.IS_INSTALLED
    else ("make run PORT={port}", "make reset-password", "make demo")
)
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


class Command(PlainCommand):
    help = "Prepare the database and run web, worker and beat until Ctrl-C or until one of them ends."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", default=environment.text("SLUICE_BIND", "127.0.0.1"), help="address to listen on")
        parser.add_argument("--port", type=int, default=environment.number("PORT", 8000, least=1))

    def handle(self, *args: Any, bind: str, port: int, **options: Any) -> None:
        with ExitStack() as stack:
            if not settings.IS_PRODUCTION:
                stack.enter_context(only_one())
                refuse_full_disk()
            refuse_busy_port(bind, port)
            checks.refuse_unreadable_secrets()
            self.say("Preparing the database and the static files …")
            call_command("migrate", interactive=False, verbosity=0)
            if not static_files_are_given():
                call_command("collectstatic", interactive=False, verbosity=0)
            # The children must not inherit connections.
            checks.leave_pools()
            supervisor = Supervisor()
            supervisor.listen()
            stack.callback(supervisor.end)
            self.run(supervisor, bind, port)

    def run(self, supervisor: Supervisor, bind: str, port: int) -> None:
        surroundings = {**os.environ, "SLUICE_BIND": bind, "PORT": str(port), "PYTHONWARNINGS": KNOWN_WARNINGS}
        celery = [sys.executable, "-m", "celery", "--app", "config", "--quiet"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        supervisor.start(
            "web",
            [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"],
            {**surroundings, IS_CHECKED: "1"},
        )
        # While the web process loads its pages. What is wrong ends all, before the panel is said to be ready.
        self.check(databases=["default"])
        checks.leave_pools()
        # Whoever started Sluice waits for the panel: the others, which take as long to load, leave the processor to it.
        until = time.monotonic() + ALONE
        ended = supervisor.watch(until=lambda: is_ready(bind, port) or time.monotonic() > until)
        if ended is None and supervisor.asked is None:
            supervisor.start(
                "worker", [*celery, "worker", "--pool", "threads", "--concurrency", "4", *quiet], surroundings
            )
            supervisor.start("beat", [*celery, "beat"], surroundings)
            ended = supervisor.watch(until=lambda: is_ready(bind, port))
        if ended is None and supervisor.asked is None:
            self.greet(bind, port)
            ended = supervisor.watch()
        if ended is not None:
            raise CommandError(
                f"{ended} {how_it_ended(supervisor.children[ended].returncode)}; the other processes are stopped as well."
            )
        self.say("Stopping …")

    def greet(self, bind: str, port: int) -> None:
        """Print the panel's URL; at the first start, create the superuser and print the password once."""
        host = "localhost" if bind in {"127.0.0.1", "0.0.0.0"} else f"[{bind}]" if ":" in bind else bind  # noqa: S104
        lines = [f"Sluice is ready: http://{host}:{port}/"]
        if operator := make_first_operator(actor=Actor.of_command("up")):
            lines += [
                f"Sign in as {operator.username} with the password {operator.password}",
                f"The password is shown only now; `{RESET_PASSWORD}` generates another. `{DEMO}` loads demo data.",
            ]
        lines.append("Press Ctrl-C to stop.")
        self.say("", *(f"  {line}" for line in lines), "")

    def say(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def only_one() -> IO[str]:
    """Return the lock of the data folder: two instances would run every scheduled task twice."""
    lock = (settings.SLUICE_DATA_DIR / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CommandError(
            f"Sluice is already running in {settings.SLUICE_DATA_DIR}; stop it, or set SLUICE_DATA_DIR to another folder."
        ) from None
    return lock


def static_files_are_given() -> bool:
    """Tell whether they came with the installation, in a folder that is not ours to write (Dockerfile)."""
    root = Path(settings.STATIC_ROOT)
    return (root / "staticfiles.json").exists() and not os.access(root, os.W_OK)


def refuse_full_disk() -> None:
    """End with a sentence instead of SQLite's traceback."""
    if fault := embedded.fault_of(settings.SLUICE_DATA_DIR):
        raise CommandError(f"The data folder {settings.SLUICE_DATA_DIR} {fault}.")


def refuse_busy_port(bind: str, port: int) -> None:
    """End with a sentence instead of gunicorn's repeated errors."""
    if not bind.strip():
        # To servers, all addresses of the machine.
        raise CommandError("--bind needs an address to listen on, such as 127.0.0.1.")
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OverflowError:
            raise CommandError(f"{port} is not a port; a port is a number up to 65535.") from None
        except (UnicodeError, TypeError):
            # Python's words for a name that cannot be one of DNS, and for bytes that are no text.
            raise CommandError(f"{bind!a} is not an address to listen on.") from None
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise CommandError(
                    f"Port {port} of {bind} is in use; choose another: {RUN.format(port=port + 1)}"
                ) from None
            raise CommandError(f"Port {port} of {bind} cannot be listened on: {problem.strerror or problem}.") from None


def is_ready(bind: str, port: int) -> bool:
    """Ask the web process whether it can work."""
    address = ANY_ADDRESS.get(bind, bind)
    host = f"[{address}]" if ":" in address else address
    # No proxy: this never leaves the machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/readyz", timeout=2):
            return True
    except (OSError, urllib.error.URLError):
        return False
