"""What a clock that was a year ahead wrote stops nothing once it is right again."""

import datetime
import uuid

import pytest
import time_machine
from django.utils import timezone

from alerts import sending
from alerts.models import Alert, Message
from config.file_cache import FileCache
from config.file_counters import FileCounters
from core import jobs, keys, lockout
from core.audit import Actor
from nodes import changes, publishing
from nodes.models import Publication
from servers.domain_checks import DomainChecks
from tests.alerts.conftest import Minutes, item
from tests.alerts.factories import MessageFactory
from tests.cast import NOW
from tests.factories import ApiTokenFactory, CircuitFactory, DeliveryFactory, DomainFactory
from webhooks import deliveries, leases
from webhooks.models import Circuit, Delivery

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

SYSTEM = Actor.system()
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)
AHEAD = NOW + 400 * DAY


def test_a_job_whose_worker_died_then_is_taken_up():
    dead = jobs.claim(jobs.start(kind="rebuild", label="Long").pk, at=AHEAD)
    waiting = jobs.start(kind="rebuild", label="Next")
    taken = []

    def run(job, *, now):
        taken.append(job.pk)
        jobs.finish(job, at=now())

    assert jobs.take_turns("rebuild", run, now=lambda: NOW, lasts=MINUTE) is False
    assert sorted(taken) == [dead.pk, waiting.pk]


def test_a_lease_taken_then_is_taken_over():
    assert leases.take("host:a.example", "dead", at=AHEAD)
    assert leases.take("host:a.example", "alive", at=NOW)
    # A worker whose clock is behind by half a minute takes none from another that lives.
    assert not leases.take("host:a.example", "behind", at=NOW - leases.LENGTH)


def test_deliveries_are_made_now():
    delivery = DeliveryFactory(due_at=AHEAD, until=AHEAD + 3 * DAY)
    CircuitFactory(webhook=delivery.webhook, failures=30, opened_at=AHEAD, retry_at=AHEAD)
    later = DeliveryFactory(due_at=NOW + 7 * 60 * MINUTE, until=NOW + DAY)
    assert deliveries.bring_forward(at=NOW) == 1
    assert Delivery.objects.due(NOW).get() == delivery
    assert Delivery.objects.get(pk=later.pk).due_at == later.due_at
    assert Circuit.objects.get().retry_at == NOW


def test_messages_of_alerts_are_sent_now(mailoutbox):
    MessageFactory(due_at=AHEAD, until=AHEAD + 3 * DAY)
    assert sending.run(clock=lambda: NOW, seconds=5) == 1
    assert Message.objects.get().state == "sent"


def test_alerts_begin_and_end():
    ahead, now = Minutes(at=AHEAD), Minutes(at=NOW)
    ahead.see(item())
    now.see(item(), times=2)
    assert Alert.objects.begun().count() == 1
    ahead.see()
    now.see(times=7)
    assert Alert.objects.open().count() == 0


def test_domains_are_checked():
    domain = DomainFactory()
    rows = DomainChecks(SYSTEM).rows()
    now = timezone.now()
    rows.filter(pk=domain.pk).update(
        dns_claim=uuid.uuid4(), dns_claimed_until=now + 400 * DAY, dns_next_check_at=now + 400 * DAY
    )
    assert rows.put_off_by_a_clock(now).update(dns_next_check_at=None) == 1
    assert rows.due(now).get() == domain
    # What is planned stays, and so does what is planned for never.
    for planned in (DAY, 36_500 * DAY):
        rows.filter(pk=domain.pk).update(dns_next_check_at=now + planned)
        assert not rows.put_off_by_a_clock(now).exists()


def test_a_use_of_a_key_is_noted():
    token = ApiTokenFactory(last_used_at=AHEAD)
    assert keys.touch_last_used(token, at=NOW)
    token.refresh_from_db()
    assert token.last_used_at == NOW


@pytest.mark.parametrize("cache_class", [FileCache, FileCounters])
def test_entries_of_the_embedded_cache_end(cache_class, tmp_path):
    cache = cache_class(str(tmp_path), {})
    with time_machine.travel(AHEAD, tick=False):
        cache.set("then", 1, timeout=30)
        assert cache.get("then") == 1
    with time_machine.travel(NOW, tick=False) as clock:
        assert cache.get("then") is None
        assert cache.add("now", 1, timeout=30)
        # A time server corrects it by a little.
        clock.shift(-5)
        assert cache.get("now") == 1
        clock.shift(36)
        assert cache.get("now") is None


def test_nobody_stays_locked_out_of_an_embedded_panel(monkeypatch, tmp_path):
    monkeypatch.setattr(lockout, "_counters", lambda: FileCounters(str(tmp_path), {}))
    who = {"username": "ann", "address": "192.0.2.1"}
    with time_machine.travel(AHEAD, tick=False):
        for _ in range(lockout.FAILURES_OF_NAME):
            lockout.count_failure(lockout.Secret.PASSWORD, **who)
        assert lockout.is_locked_out(**who)
    with time_machine.travel(NOW, tick=False):
        assert not lockout.is_locked_out(**who)


def test_policies_are_looked_at_now_and_then():
    Publication.objects.update_or_create(pk=1, defaults={"checked": changes.state()[0], "checked_at": AHEAD})
    assert publishing._may_have_changed(NOW)
