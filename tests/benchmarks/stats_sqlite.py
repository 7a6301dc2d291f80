"""What tests.benchmarks.stats_files runs on an embedded installation: writes, while others ingest and fold."""

import os
import statistics
import subprocess
import sys
import threading
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main(lines: int) -> None:
    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from core.audit import Actor
    from servers.models import Organization
    from servers.provisioning import create_organization, create_server
    from tests.tests.benchmarks.stats_files import COMMAND, ROOT, _lines

    call_command("migrate", verbosity=0)
    organization = create_organization(at=timezone.now(), name="Bench", actor=Actor.system())
    servers = [
        str(create_server(organization=organization, name=f"server {number}", actor=Actor.system()).server.uuid)
        for number in range(20)
    ]
    began = time.perf_counter()
    ingester = subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    folder = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.stats_sqlite", "fold"], cwd=ROOT, stdin=subprocess.PIPE
    )

    def feed() -> None:
        assert ingester.stdin is not None
        for part in _lines(servers, lines):
            ingester.stdin.write(part)
        ingester.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    waits: list[float] = []
    while ingester.poll() is None:
        start = time.perf_counter()
        Organization.objects.filter(pk=organization.pk).update(updated_at=timezone.now())
        waits.append(time.perf_counter() - start)
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    feeder.join()
    folder.communicate(b"end\n")
    print(len(waits), max(waits), statistics.median(waits), lines / seconds)


def fold_until_told() -> None:
    """What the worker does every few seconds, here without a rest."""
    import select

    django.setup()
    from django.utils import timezone

    from stats.counts.fold import fold_all

    while not select.select([sys.stdin], [], [], 0.2)[0]:
        fold_all(now=timezone.now())


if __name__ == "__main__":
    fold_until_told() if sys.argv[1] == "fold" else main(int(sys.argv[1]))
