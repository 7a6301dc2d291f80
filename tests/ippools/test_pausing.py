"""Pausing an address with a reason and an end, resuming it by hand and when the end has come."""

import datetime

import pytest
from django.db import IntegrityError, transaction

from core.errors import Invalid, NotFound
from core.models import AuditEntry
from ippools import pausing
from ippools.models import IPAddress
from tests.cast import NOW, SYSTEM
from tests.factories import IPAddressFactory
from tests.words import ip_addresses

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def address(db):
    return IPAddressFactory.create()


def state(address):
    address.refresh_from_db()
    return address.delivery_paused, address.pause_reason, address.paused_until


def acts():
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


def test_it_works(address):
    pausing.pause(address.pk, reason=" Listed ", until=NOW + HOUR, at=NOW, actor=SYSTEM)
    assert state(address) == (True, "Listed", NOW + HOUR)
    entry = AuditEntry.objects.get(act="ip_address.paused")
    changed = {name for name in entry.after if entry.before[name] != entry.after[name]}
    assert changed == {"delivery_paused", "pause_reason", "paused_until"}
    pausing.resume(address.pk, actor=SYSTEM)
    assert state(address) == (False, "", None)
    # Again: nothing changes, and nothing is written.
    pausing.resume(address.pk, actor=SYSTEM)
    assert acts() == ["ip_address.paused", "ip_address.resumed"]


def test_a_pause_is_given_another_reason_and_end(address):
    pausing.pause(address.pk, reason="Listed", until=NOW + HOUR, at=NOW, actor=SYSTEM)
    pausing.pause(address.pk, reason="Listed again", until=None, at=NOW, actor=SYSTEM)
    assert state(address) == (True, "Listed again", None)


@pytest.mark.parametrize(
    ("reason", "until", "field"),
    [
        ("", None, "reason"),
        (" ", None, "reason"),
        ("x" * 501, None, "reason"),
        ("\x00", None, "reason"),
        ("Listed", NOW, "until"),
        ("Listed", NOW - HOUR, "until"),
    ],
)
def test_it_rejects_no_reason_and_an_end_that_is_past(reason, until, field, address):
    with pytest.raises(Invalid) as refusal:
        pausing.pause(address.pk, reason=reason, until=until, at=NOW, actor=SYSTEM)
    assert [fault.path for fault in refusal.value.faults] == [field]
    assert state(address) == (False, "", None)


def test_an_address_that_is_not_there_is_not_found(db):
    with pytest.raises(NotFound):
        pausing.pause(999, reason="Listed", until=None, at=NOW, actor=SYSTEM)


def test_what_is_due_is_resumed_and_nothing_else(db):
    due, later, open_ended, _ = IPAddressFactory.create_batch(4)
    pausing.pause(due.pk, reason="Listed", until=NOW + HOUR, at=NOW, actor=SYSTEM)
    pausing.pause(later.pk, reason="Listed", until=NOW + 2 * HOUR, at=NOW, actor=SYSTEM)
    pausing.pause(open_ended.pk, reason="Listed", until=None, at=NOW, actor=SYSTEM)
    assert pausing.resume_due(at=NOW + HOUR - datetime.timedelta(seconds=1)) == 0
    assert pausing.resume_due(at=NOW + HOUR) == 1
    assert pausing.resume_due(at=NOW + HOUR) == 0
    paused = IPAddress.objects.filter(delivery_paused=True).order_by("pk")
    assert list(paused.values_list("pk", flat=True)) == [later.pk, open_ended.pk]
    entry = AuditEntry.objects.get(act="ip_address.resumed")
    assert (entry.target_id, entry.actor_label) == (str(due.pk), "Sluice")


def test_a_change_without_a_reason_ends_the_reason(address):
    pausing.pause(address.pk, reason="Listed", until=NOW + HOUR, at=NOW, actor=SYSTEM)
    ip_addresses.update(address.pk, {"delivery_paused": False}, actor=SYSTEM)
    assert state(address) == (False, "", None)
    ip_addresses.update(address.pk, {"delivery_paused": True}, actor=SYSTEM)
    assert state(address) == (True, "", None)
    assert acts() == ["ip_address.paused", "ip_address.resumed", "ip_address.paused"]
    # What changes more is a change.
    ip_addresses.update(address.pk, {"delivery_paused": False, "priority": 3}, actor=SYSTEM)
    assert acts()[-1] == "ip_address.changed"


@pytest.mark.storage
def test_the_database_refuses_a_reason_without_a_pause(address):
    for columns in ({"pause_reason": "Listed"}, {"paused_until": NOW}):
        with pytest.raises(IntegrityError), transaction.atomic():
            IPAddress.objects.filter(pk=address.pk).update(**columns)
