"""`python -m tests.benchmarks [NAME …]`: run the benchmarks, print their ratios, and fail where one misses its goal.

Each runs in a process and, on PostgreSQL, in a database of its own, so that none finds another's data. Ratios are printed as
they are found, what else is said goes to a file, and all ratios with a goal stand in one table at the end.
"""

import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests import benchmarks

# What a child runs instead of starting others.
CHILD = "SLUICE_BENCHMARK"
MISSED = "MISSED"


def main(names: list[str]) -> int:
    """Run the modules named, or all; 1 where a goal was missed or a benchmark broke."""
    if CHILD in os.environ:
        return measure(os.environ[CHILD])
    with_goal: list[tuple[str, str]] = []
    broken: list[str] = []
    for found in pkgutil.iter_modules(benchmarks.__path__):
        if (names and found.name not in names) or not has_measure(found.name):
            continue
        lines, status = run(found.name)
        with_goal += [(found.name, line) for line in lines if " ≥ " in line or " ≤ " in line]
        broken += [found.name] * (status != 0)
    print("\n== All ratios with a goal", flush=True)
    for name, line in with_goal:
        print(f"{name:<18} {line}")
    missed = sum(MISSED in line for _, line in with_goal)
    print(f"\n{len(with_goal)} goals, {missed} missed" + (f"; broken: {', '.join(broken)}" if broken else ""))
    return 1 if missed or broken else 0


def has_measure(name: str) -> bool:
    """Return whether a module is a benchmark and not a part of one; read as text, because Django is not set up here."""
    return "\ndef measure()" in (Path(benchmarks.__path__[0]) / f"{name}.py").read_text()


def run(name: str) -> tuple[list[str], int]:
    """Run one benchmark in a process and a database of its own; return its lines and its status."""
    log = Path(tempfile.gettempdir()) / f"sluice-benchmark-{name}.log"
    environment = {**os.environ, CHILD: name}
    url = os.environ.get("DATABASE_URL")
    if url:
        environment["DATABASE_URL"] = database_of(url, name)
    lines = []
    with log.open("w") as said:
        command = [sys.executable, "-m", "tests.benchmarks"]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
        status = child.wait()
    if status:
        print(f"{name} ended with status {status}; the end of {log}:", log.read_text()[-2_000:], sep="\n", flush=True)
    return lines, status


def database_of(url: str, name: str) -> str:
    """Make an empty database for a benchmark, in place of what an earlier run left, and return its URL."""
    database = f"sluice_benchmark_{name}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{database}"')
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def measure(name: str) -> int:
    """Run one benchmark here."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SLUICE_LOG_LEVEL", "WARNING")
    import django

    django.setup()
    # Not before Django is set up.
    from django.conf import settings
    from django.core.management import call_command

    from config import checks

    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    module = importlib.import_module(f"tests.benchmarks.{name}")
    print(f"\n== {name}: {(module.__doc__ or '').partition(chr(10))[0]}", flush=True)
    for ratio in module.measure():
        print(ratio, flush=True)
    checks.leave_pools()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
