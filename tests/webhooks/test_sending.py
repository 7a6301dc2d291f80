"""The worker's run: everything due is delivered at least once, and no receiver holds up another."""

import base64
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from core.models import AuditEntry
from servers.models import Webhook
from tests.clock import Clock, over_when
from tests.factories import CircuitFactory
from tests.races import at_once, in_the_open
from tests.webhooks.conftest import make_deliveries, make_hook
from tests.webhooks.receivers import Receiver, answers
from webhooks import backoff, leases, rows, sending
from webhooks.backoff import TOLERATED
from webhooks.calling import Caller
from webhooks.models import Circuit, Delivery, Lease, SigningKey
from webhooks.sending import Sent, run

pytestmark = [pytest.mark.storage, pytest.mark.server, pytest.mark.django_db]
MINUTE = datetime.timedelta(minutes=1)


def numbers(receiver: Receiver) -> list[int]:
    return sorted(json.loads(each.body)["number"] for each in receiver.got)


def send(seconds: float = 20.0, ahead: datetime.timedelta = datetime.timedelta()) -> Sent:
    return run(clock=lambda: timezone.now() + ahead, seconds=seconds, chance=random.Random(1))


def test_it_delivers_each_once_and_signed(receive: Any) -> None:
    receiver = receive(answers("202 Accepted", b"taken"))
    webhook = make_hook(receiver.url)
    make_deliveries(webhook, 60)
    assert send() == Sent(delivered=60)
    assert numbers(receiver) == list(range(60))
    for row in Delivery.objects.all():
        assert (row.state, row.due_at, row.attempts, row.status_code) == ("delivered", None, 1, 202)
        assert (row.answer, row.error) == ("taken", "")
    public = load_der_public_key(base64.b64decode(SigningKey.objects.get().public_key))
    for got in receiver.got:
        assert got.headers["Content-Type"] == "application/json"
        assert got.headers["X-Postal-Signature-KID"] == SigningKey.objects.get().kid
        for name, algorithm in (("X-Postal-Signature", hashes.SHA1()), ("X-Postal-Signature-256", hashes.SHA256())):
            public.verify(base64.b64decode(got.headers[name]), got.body, padding.PKCS1v15(), algorithm)
    assert list(Lease.objects.all()) == []
    assert AuditEntry.objects.exclude(act="signing_key.created").count() == 0


def test_a_webhook_that_is_not_to_be_signed_is_not(receive: Any) -> None:
    receiver = receive()
    make_deliveries(make_hook(receiver.url, sign=False), 1)
    assert send() == Sent(delivered=1)
    assert [name for name in receiver.got[0].headers if "Signature" in name] == []
    assert SigningKey.objects.count() == 0


def test_what_is_not_due_or_whose_webhook_is_not_called_waits(receive: Any) -> None:
    receiver = receive()
    make_deliveries(make_hook(receiver.url), 1, timezone.now() + MINUTE)
    make_deliveries(make_hook(receiver.url, enabled=False), 1)
    deleted = make_hook(receiver.url)
    make_deliveries(deleted, 1)
    type(deleted.server).objects.filter(pk=deleted.server.pk).update(deleted_at=timezone.now())
    held = make_hook(receiver.url)
    now = timezone.now()
    CircuitFactory(webhook=held, failures=TOLERATED, opened_at=now, retry_at=now + MINUTE)
    make_deliveries(held, 1)
    assert send() == Sent()
    assert receiver.got == []
    assert Delivery.objects.filter(state="waiting", attempts=0).count() == 4


def test_a_failure_is_tried_again_later_and_then_taken(receive: Any) -> None:
    receiver = receive(answers("503 Busy", b"later"))
    webhook = make_hook(receiver.url)
    make_deliveries(webhook, 1)
    begun = timezone.now()
    assert run(clock=lambda: begun, seconds=20, chance=random.Random(1)) == Sent(failed=1)
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.status_code, row.answer) == ("waiting", 1, 503, "later")
    assert 24 <= (row.due_at - begun).total_seconds() <= 36
    assert Circuit.objects.get().failures == 1
    receiver.answer = answers()
    assert send(ahead=MINUTE) == Sent(delivered=1)
    assert Circuit.objects.get().failures == 0


def test_after_three_days_it_is_given_up(receive: Any) -> None:
    receiver = receive(answers("500 No"))
    make_deliveries(make_hook(receiver.url), 1)
    Delivery.objects.update(until=timezone.now() + datetime.timedelta(seconds=20))
    assert send() == Sent(failed=1)
    row = Delivery.objects.get()
    assert (row.state, row.due_at, row.status_code) == ("failed", None, 500)


def test_the_attempts_of_three_days_are_some_twenty() -> None:
    chance, at, attempts = random.Random(7), datetime.timedelta(), 1
    waits = []
    while (wait := backoff.wait(attempts, chance)) + at <= datetime.timedelta(days=3):
        at, attempts = at + wait, attempts + 1
        waits.append(wait)
    assert 17 <= attempts <= 23
    assert datetime.timedelta(seconds=24) <= waits[0] <= datetime.timedelta(seconds=36)
    assert max(waits) <= datetime.timedelta(hours=6) * 1.2


def test_a_receiver_that_keeps_failing_is_held_back_and_its_owner_told_once(receive: Any) -> None:
    receiver = receive(answers("500 No"))
    webhook = make_hook(receiver.url)
    make_deliveries(webhook, TOLERATED + 30)
    send()
    calls = len(receiver.got)
    assert TOLERATED <= calls < TOLERATED + 8
    circuit = Circuit.objects.get()
    assert circuit.failures == calls
    assert circuit.opened_at is not None
    entry = AuditEntry.objects.get(act="webhook.held_back")
    assert (entry.target_id, entry.organization_id) == (str(webhook.pk), webhook.server.organization_id)
    assert (entry.actor_kind, entry.after["error"]) == ("system", "Status 500")
    # Those that were taken and not tried wait as if they had not been.
    assert Delivery.objects.filter(attempts=0, state="waiting", due_at__lte=timezone.now()).count() == (
        TOLERATED + 30 - calls
    )
    assert send() == Sent()
    # One call, to see whether it answers.
    assert send(ahead=2 * MINUTE) == Sent(failed=1)
    assert len(receiver.got) == calls + 1
    assert AuditEntry.objects.filter(act="webhook.held_back").count() == 1
    receiver.answer = answers()
    assert send(ahead=datetime.timedelta(hours=7)) == Sent(delivered=TOLERATED + 30)
    assert AuditEntry.objects.get(act="webhook.answers_again").organization_id == webhook.server.organization_id
    assert (circuit := Circuit.objects.get()).opened_at is None
    assert circuit.failures == 0


def test_silent_receivers_hold_up_no_other(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty webhooks of hosts that never answer, more than there are threads, beside one that answers and a new one."""
    are_delivered = threading.Event()

    def answering(peer: Any) -> None:
        if len(receiver.got) + len(fresh.got) == 150:
            are_delivered.set()
        answers()(peer)

    silent = receive(lambda peer: are_delivered.wait(600), host="0.0.0.0")
    receiver, fresh = receive(answering), receive(answering, host="127.0.0.2")
    # A call that waits for a silent one waits for ten minutes; the run has one, and is over when the others have theirs.
    monkeypatch.setattr(Caller, "call", partialmethod(Caller.call, timeout=600))
    monkeypatch.setattr(sending, "time", over_when(are_delivered.is_set))
    well = make_hook(receiver.url)
    CircuitFactory(webhook=well, answered_at=timezone.now())
    make_deliveries(well, 100)
    for n in range(40):
        dead = make_hook(f"http://127.0.1.{n + 1}:{silent.port}/")
        CircuitFactory(webhook=dead, failures=1)
        make_deliveries(dead, 20)
    make_deliveries(make_hook(fresh.url), 50)
    send(seconds=60.0)
    assert numbers(receiver) == list(range(100))
    assert numbers(fresh) == list(range(50))


def test_a_webhook_that_answers_is_remembered(receive: Any) -> None:
    webhook = make_hook(receive().url)
    make_deliveries(webhook, 3)
    begun = timezone.now()
    send()
    circuit = Circuit.objects.get()
    assert circuit.answered_at >= begun
    assert (circuit.pk, circuit.failures, circuit.opened_at) == (webhook.pk, 0, None)
    make_deliveries(webhook, 3)
    send()
    # Not with each call.
    assert Circuit.objects.get().answered_at == circuit.answered_at


def test_one_host_has_so_many_calls_at_once_and_one_webhook_does_not_take_them_all(receive: Any, settings: Any) -> None:
    settings.SLUICE_WEBHOOK_HOST_CONNECTIONS = 3

    together = threading.Event()

    def slowly(peer: Any) -> None:
        with receiver.counting():
            if receiver.most == 3:
                together.set()
            # So many come, however long that takes; one more would within the pause.
            together.wait(60)
            time.sleep(0.1)
        answers()(peer)

    receiver = receive(slowly)
    for _ in range(4):
        make_deliveries(make_hook(receiver.url), 10)
    assert send() == Sent(delivered=40)
    assert receiver.most == 3


def test_a_crash_of_one_call_is_that_deliverys_alone(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = receive()
    real = Caller.call

    def crashing(caller: Caller, **given: Any) -> Any:
        if b'"number":3}' in given["body"]:
            raise RuntimeError("bob@example.com")
        return real(caller, **given)

    monkeypatch.setattr(Caller, "call", crashing)
    make_deliveries(make_hook(receiver.url), 6)
    assert send() == Sent(delivered=5, failed=1)
    assert Delivery.objects.get(state="waiting").error == "The call failed: RuntimeError"


def test_when_time_is_over_the_rest_is_as_it_was(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def slowly(peer: Any) -> None:
        clock.sleep(0.1)
        answers()(peer)

    for module in (sending, rows):
        monkeypatch.setattr(module, "time", clock)
    receiver = receive(slowly)
    make_deliveries(make_hook(receiver.url), 100)
    sent = send(seconds=0.5)
    assert sent.has_more
    assert 5 <= sent.delivered == len(receiver.got) < 100
    assert (
        Delivery.objects.filter(state="waiting", attempts=0, due_at__lte=timezone.now()).count() == 100 - sent.delivered
    )
    assert list(Lease.objects.all()) == []


def test_a_webhook_that_is_disabled_meanwhile_is_called_no_more(receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While calls of it are under way."""

    def slowly(peer: Any) -> None:
        time.sleep(0.3)
        answers()(peer)

    monkeypatch.setattr(sending, "_LOOK_EVERY", 0.1)
    receiver, other = receive(slowly), receive(slowly, host="127.0.0.2")
    webhook = make_hook(receiver.url)
    make_deliveries(webhook, 50)
    make_deliveries(make_hook(other.url), 5)
    moments = iter(range(10_000))

    def clock() -> datetime.datetime:
        # It is read by each look: the fifth finds the webhook disabled.
        if threading.current_thread() is threading.main_thread() and next(moments) == 12:
            Webhook.objects.filter(pk=webhook.pk).update(enabled=False)
        return timezone.now()

    sent = run(clock=clock, seconds=20, chance=random.Random(1))
    assert sent.failed == 0
    assert 5 < sent.delivered < 55
    assert numbers(other) == list(range(5))
    waiting = Delivery.objects.filter(webhook=webhook, state="waiting")
    assert waiting.count() == 55 - sent.delivered
    assert set(waiting.values_list("attempts", flat=True)) == {0}
    assert list(Lease.objects.all()) == []


def test_the_task_sends_what_is_due(receive: Any) -> None:
    from webhooks.tasks import deliver

    receiver = receive()
    make_deliveries(make_hook(receiver.url), 3)
    deliver()
    assert numbers(receiver) == [0, 1, 2]


# --- Several workers --------------------------------------------------------------------------------------------------


@in_the_open
def test_workers_side_by_side_deliver_each_once(receive: Any, settings: Any) -> None:
    settings.SLUICE_WEBHOOK_WORKERS = 3
    receivers = [receive(host=f"127.0.0.{n}") for n in (1, 2, 3, 4)]
    for receiver in receivers:
        make_deliveries(make_hook(receiver.url), 100)
    at_once(*[send] * 3)
    while send().delivered:
        pass
    assert [numbers(each) for each in receivers] == [list(range(100))] * 4
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 1)}


@in_the_open
def test_of_many_who_want_a_lease_one_has_it() -> None:
    now = timezone.now()
    taken = at_once(*[lambda name=name: leases.take("host:a", name, at=now) for name in "abcd"])
    assert sorted(taken) == [False, False, False, True]
    assert (
        at_once(*[lambda name=name: leases.take("host:a", name, at=now + leases.LENGTH) for name in "abcd"]).count(True)
        == 1
    )


def test_no_more_workers_run_than_may(receive: Any) -> None:
    receiver = receive()
    make_deliveries(make_hook(receiver.url), 1)
    assert leases.take("worker:0", "another", at=timezone.now())
    assert send() == Sent()
    assert send(ahead=2 * leases.LENGTH) == Sent(delivered=1)


_CHILD = """
import django; django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {name!r}
settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]
from django.utils import timezone
from webhooks.sending import run
run(clock=timezone.now, seconds=60)
"""


@in_the_open
def test_a_killed_worker_loses_nothing(receive: Any) -> None:
    killed = threading.Event()

    def slowly(peer: Any) -> None:
        time.sleep(0.02)
        if len(receiver.got) > 1_000:
            killed.wait(60)
        answers()(peer)

    receiver = receive(slowly)
    make_deliveries(make_hook(receiver.url), 2_000)
    code = _CHILD.format(name=str(connection.settings_dict["NAME"]))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "SECRET_KEY": django_settings.SECRET_KEY}
    environment["SLUICE_ENCRYPTION_KEYS"] = ",".join(django_settings.SLUICE_ENCRYPTION_KEYS)
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=Path(__file__).resolve().parents[2])
    try:
        deadline = time.monotonic() + 120
        while len(receiver.got) < 100 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(receiver.got) >= 100
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        killed.set()
    left = Delivery.objects.filter(state="waiting")
    assert 0 < left.count() < 2_000
    receiver.answer = answers()
    # Its leases, and its claims, lapse.
    while send(seconds=30, ahead=datetime.timedelta(minutes=3)).delivered:
        pass
    assert not left.exists()
    assert set(numbers(receiver)) == set(range(2_000))
    # Only what was under way or in its memory is sent twice.
    assert len(receiver.got) <= 2_000 + 50
