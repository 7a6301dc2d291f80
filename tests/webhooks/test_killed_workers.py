"""Deliveries that are queued survive workers that are killed: none is lost, and few come twice."""

import datetime
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from tests.benchmarks.webhooks import receive as take_any
from tests.races import in_the_open
from tests.webhooks.conftest import make_hook
from tests.webhooks.test_sending import send
from webhooks.models import Circuit, Delivery, Lease
from webhooks.queueing import Target, queue
from webhooks.sending import _HELD

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.live]
KILLED, HOSTS = 3, 4
_WORKER = """
import django; django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {name!r}
settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]
from django.utils import timezone
from webhooks.sending import run
run(clock=timezone.now, seconds=600)
"""


def worker() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "SECRET_KEY": django_settings.SECRET_KEY}
    environment |= {"SLUICE_ENCRYPTION_KEYS": ",".join(django_settings.SLUICE_ENCRYPTION_KEYS)}
    code = _WORKER.format(name=str(connection.settings_dict["NAME"]))
    return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=Path(__file__).resolve().parents[2])


def wait_for_more(number: int, than: int) -> None:
    """Wait until so many more are delivered, as the database says; fails where none is for two minutes."""
    delivered, since = than, time.monotonic()
    while delivered < than + number:
        time.sleep(0.05)
        before, delivered = delivered, Delivery.objects.filter(state="delivered").count()
        if delivered > before:
            since = time.monotonic()
        assert time.monotonic() - since < 120


@pytest.mark.parametrize("number", [4_000, pytest.param(200_000, marks=pytest.mark.long)])
@in_the_open
def test_queued_deliveries_survive_killed_workers(number: int, loopback: None) -> None:
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    receiver = spawn.Process(target=take_any, args=(ports, True), daemon=True)
    receiver.start()
    try:
        port = ports.get(timeout=60)
        hooks = [make_hook(f"http://127.0.3.{n + 1}:{port}/hook", sign=False) for n in range(HOSTS)]
        targets = [Target(each.pk, each.server_id, frozenset(), is_private=False) for each in hooks]
        queue(((targets[n % HOSTS], "MessageSent", {"message": {"id": n}}) for n in range(number)), now=timezone.now())
        for _ in range(KILLED):
            before = Delivery.objects.filter(state="delivered").count()
            child = worker()
            try:
                wait_for_more(number // 10, before)
            finally:
                child.send_signal(signal.SIGKILL)
                child.wait()
            # Of the killed one, what it held waits, with the leases of its place and its hosts.
            taken = Delivery.objects.filter(state="waiting", attempts__gt=0)
            assert taken.count() <= KILLED * HOSTS * _HELD
            assert Delivery.objects.count() == number
            _let_leases_lapse()
        assert 0 < Delivery.objects.waiting().count() < number
        # Their claims lapse.
        while send(seconds=600, ahead=datetime.timedelta(minutes=3)).delivered:
            pass
        assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
        assert Delivery.objects.count() == number
        # Only what a killed worker held was sent twice, or may have been.
        assert Delivery.objects.filter(attempts__gt=1).count() <= KILLED * HOSTS * _HELD
        assert not Circuit.objects.filter(failures__gt=0).exists()
    finally:
        receiver.kill()


def _let_leases_lapse() -> None:
    Lease.objects.update(until=timezone.now() - datetime.timedelta(seconds=1))
