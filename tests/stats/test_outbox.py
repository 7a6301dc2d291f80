"""The outbox between two databases: each consumer acts once, whatever fails, and nothing is forgotten before its time.

Its functions do not ask whether there are two databases, so one shows what they do; tests/faults/test_stats_database.py has
two.
"""

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from stats.counts import buckets, retention
from stats.ledger import announcing, consumers, outbox
from stats.ledger.consumers import Work
from stats.models import Batch, Consumer, ConsumerMark, Day, OutboxEntry, ThrottleBucket
from suppressions.from_events import Evidence
from suppressions.models import Reason, Suppression
from tests.factories import WebhookFactory
from tests.stats.conftest import NOW, Tenant
from webhooks.models import Delivery
from webhooks.payloads import MessageEvent

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="two databases are PostgreSQL's"),
]
LATER = NOW + datetime.timedelta(minutes=1)
MESSAGE = MessageEvent("bounced", "m1", NOW.timestamp(), "a@acme.example", "bob@gmail.com", "550 no \ud800", None)


@pytest.fixture(autouse=True)
def unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries are written, not sent: sending asks a DNS server that is not there."""
    monkeypatch.setattr(announcing, "request_delivery", lambda: None)


@pytest.fixture
def work(acme: Tenant) -> Work:
    WebhookFactory(server=acme.server)
    evidence = Evidence(acme.server.pk, "bob@gmail.com", Reason.COMPLAINT, "m1", NOW)
    return Work([[1, 0, buckets.minute_of(NOW) * 6, 3, 2, 1]], [(acme.server.pk, MESSAGE)], [evidence])


def written(work: Work, at: datetime.datetime = NOW) -> outbox.Entry:
    key = uuid.uuid4()
    return outbox.write(
        Batch.objects.create(received_at=at, event_count=1, least_key=key, greatest_key=key), work, now=at
    )


def effects() -> tuple[int, int, int]:
    sent = sum(ThrottleBucket.objects.values_list("sent", flat=True))
    return sent, Delivery.objects.count(), Suppression.objects.count()


def waiting() -> int:
    return OutboxEntry.objects.filter(done_at=None).count()


def fail_at(monkeypatch: pytest.MonkeyPatch, consumer: Consumer, *, when: str) -> None:
    act = consumers.act_later

    def failing(one: Consumer, part: Any, *, now: datetime.datetime) -> None:
        if one is consumer and when == "before":
            raise RuntimeError("a defect")
        act(one, part, now=now)
        if one is consumer:
            raise RuntimeError("killed before the commit")

    monkeypatch.setattr(consumers, "act_later", failing)


def test_what_is_written_is_read_again(work: Work) -> None:
    assert Work.from_document(work.document()) == work
    assert not Work()


def test_each_consumer_acts_once(work: Work) -> None:
    entry = written(work)
    for act in (outbox.pass_on, outbox.pass_on):
        act(entry, now=NOW)
    assert effects() == (3, 1, 1)
    assert waiting() == 0
    assert ConsumerMark.objects.count() == len(Consumer)
    assert outbox.repeat(now=LATER) == 0


def test_what_a_dead_process_left_is_passed_on_once(work: Work) -> None:
    written(work)
    assert outbox.repeat(now=NOW) == 0, "it is a process's that is about to do it"
    assert outbox.repeat(now=LATER) == 1
    assert outbox.repeat(now=LATER) == 0
    assert effects() == (3, 1, 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("consumer", list(Consumer))
def test_one_that_fails_keeps_no_other_and_acts_once_it_can(
    work: Work, monkeypatch: pytest.MonkeyPatch, consumer: Consumer, when: str
) -> None:
    with monkeypatch.context() as broken:
        fail_at(broken, consumer, when=when)
        outbox.pass_on(written(work), now=NOW)
        assert waiting() == 1
        assert sum(effects()) == 5 - (3 if consumer is Consumer.THROTTLE_PROGRAMS else 1)
        assert outbox.repeat(now=LATER) == 0
    assert outbox.waiting(now=LATER + datetime.timedelta(minutes=2)) == 1
    assert outbox.repeat(now=LATER) == 1
    assert effects() == (3, 1, 1)


def test_one_that_cannot_be_passed_on_keeps_no_later_one(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    written(Work(work.attempts))
    written(Work([], work.messages), NOW + datetime.timedelta(seconds=1))
    fail_at(monkeypatch, Consumer.THROTTLE_PROGRAMS, when="before")
    assert outbox.repeat(now=LATER) == 1
    assert effects() == (0, 1, 0)


def test_a_configuration_that_lost_its_marks_is_told_again(work: Work) -> None:
    outbox.pass_on(written(work), now=NOW)
    for model in (ConsumerMark, Delivery, Suppression, ThrottleBucket):
        model._default_manager.all().delete()
    assert outbox.reopen() == 1
    assert outbox.repeat(now=LATER) == 1
    assert effects() == (3, 1, 1)


def test_an_entry_whose_marks_may_be_forgotten_is_given_up(work: Work) -> None:
    written(work, NOW - outbox.GIVEN_UP - datetime.timedelta(minutes=1))
    assert outbox.repeat(now=NOW) == 0
    assert (effects(), waiting()) == ((0, 0, 0), 0)


@pytest.mark.parametrize(
    ("age", "left"),
    [
        (datetime.timedelta(minutes=59), (1, 3)),
        (datetime.timedelta(minutes=61), (0, 3)),
        (datetime.timedelta(days=4, minutes=1), (0, 0)),
    ],
)
def test_what_is_done_is_kept_an_hour_and_marks_longer(
    work: Work, age: datetime.timedelta, left: tuple[int, int]
) -> None:
    outbox.pass_on(written(work), now=NOW)
    outbox.prune(now=NOW + age)
    assert (OutboxEntry.objects.count(), ConsumerMark.objects.count()) == left


def test_what_waits_is_never_pruned_and_its_day_is_not_dropped(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = written(work)
    outbox.prune(now=NOW + datetime.timedelta(days=9))
    assert waiting() == 1
    batch = Batch.objects.get()
    batch.folded_at = NOW
    batch.save()
    monkeypatch.setattr(retention, "IS_APART", True)
    span = (batch.least_key, uuid.UUID(int=batch.least_key.int + 1))
    assert outbox.waits_between(*span)
    outbox.pass_on(entry, now=NOW)
    assert not outbox.waits_between(*span)


def test_a_day_is_dropped_when_every_consumer_has_it(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "IS_APART", True)
    old = NOW - datetime.timedelta(days=90)
    day = buckets.day_of(old)
    Day.objects.create(day=day, month=buckets.month_number(old.date()), year=old.year, received_at=old)
    least = retention.keys.least_key(day)
    batch = Batch.objects.create(received_at=old, event_count=1, least_key=least, greatest_key=least, folded_at=old)
    # An import of today, of events of long ago.
    entry = outbox.write(batch, work, now=NOW)
    assert retention.drop_old_events(now=NOW).postponed == [day]
    outbox.pass_on(entry, now=NOW)
    assert retention.drop_old_events(now=NOW).days == [day]


def test_a_private_servers_recipients_are_not_written_down(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    from stats.intake.ingest import Reporter, ingest
    from stats.ledger import storing
    from tests.stats.events import event

    acme.server.privacy_mode = True
    acme.server.save()
    WebhookFactory(server=acme.server)
    kept: list[Work] = []
    write: Callable[..., outbox.Entry] = outbox.write

    def noted(batch: Batch, work: Work, *, now: datetime.datetime) -> outbox.Entry:
        kept.append(work)
        return write(batch, work, now=now)

    monkeypatch.setattr(storing, "IS_APART", True)
    monkeypatch.setattr(outbox, "write", noted)
    ingest([event(acme, id="1", to="bob@gmail.com")], reporter=Reporter(), now=NOW)
    ((_, message),) = kept[0].messages
    assert (message.recipient, message.reply) == (None, None)
    assert Delivery.objects.count() == 1


def test_an_entry_that_cannot_be_read_keeps_no_other_waiting(work: Work) -> None:
    """Another version wrote it, say: it is looked at again until it is given up, and those behind it are passed on."""
    first = written(work)
    OutboxEntry.objects.filter(pk=first.id).update(
        work='{"attempts": [], "messages": [[1, "bounced"]], "evidence": []}'
    )
    written(work, NOW + datetime.timedelta(seconds=1))
    assert outbox.repeat(now=LATER) == 1
    assert effects() == (3, 1, 1)
    assert waiting() == 1
    outbox.repeat(now=NOW + outbox.GIVEN_UP + datetime.timedelta(minutes=1))
    assert waiting() == 0
