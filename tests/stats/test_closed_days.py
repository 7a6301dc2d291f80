"""A day whose events were dropped is closed to the servers that were counted on it, and to nobody else."""

import datetime

import pytest

from stats.counts import buckets
from stats.counts.audit import audit, rebuild
from stats.counts.buckets import Grain
from stats.counts.fold import fold_all
from stats.counts.retention import drop_old_events
from stats.intake.ingest import Receipt, Remark, Reporter, ingest
from stats.ledger import partitions
from stats.models import ClosedDay, Day, Event, ServerCount
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event

pytestmark = [pytest.mark.storage, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_partitions")]

PLATFORM = Reporter()
OLD = "2026-01-10T12:00:00Z"
DAY = buckets.day_number(datetime.date(2026, 1, 10))
THEN = datetime.datetime(2026, 1, 11, tzinfo=datetime.UTC)
MESSAGE = "The server's events of this day are no longer held, so this could be a replay of one of them"


def sent(tenant: Tenant) -> int:
    rows = ServerCount.objects.filter(grain=Grain.DAY, bucket=DAY, server_id=tenant.server.pk)
    return sum(rows.values_list("sent", flat=True))


def drop(now: datetime.datetime = NOW) -> None:
    fold_all(now=now)
    assert drop_old_events(now=now).days == [DAY]
    assert Event.objects.count() == 0


def test_one_tenants_old_days_close_them_for_nobody_else(acme: Tenant, globex: Tenant) -> None:
    mine = [event(acme, id=str(number), at=OLD) for number in range(3)]
    theirs = [event(globex, id=str(number), at=OLD, ip="198.51.100.1") for number in range(3)]
    assert ingest(mine, reporter=PLATFORM, now=THEN) == Receipt(accepted=3)
    drop()
    # A replay of what was counted and thrown away stays refused, beside the first report of another.
    refused = [Remark(index, "day_closed", MESSAGE) for index in range(3)]
    assert ingest([*mine, *theirs], reporter=PLATFORM, now=NOW) == Receipt(accepted=3, refused=refused)
    assert ingest([*mine, *theirs], reporter=PLATFORM, now=NOW) == Receipt(duplicates=3, refused=refused)
    more = event(globex, id="more", at=OLD, ip=None)
    assert ingest([more], reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    fold_all(now=NOW)
    assert (sent(acme), sent(globex)) == (3, 4)
    # Its counts are of more than its events: neither an audit nor a rebuild may touch it.
    assert audit(now=NOW).is_clean
    assert rebuild(now=NOW) == 0
    assert (sent(acme), sent(globex)) == (3, 4)
    assert list(ClosedDay.objects.values_list("day", "server_id")) == [(DAY, acme.server.pk)]
    later = NOW + datetime.timedelta(days=31)
    drop(later)
    assert ingest([*mine, *theirs], reporter=PLATFORM, now=later).refused == [
        Remark(index, "day_closed", MESSAGE) for index in range(6)
    ]
    assert (sent(acme), sent(globex)) == (3, 4)


def test_a_day_that_is_being_dropped_takes_nothing_yet(acme: Tenant, globex: Tenant) -> None:
    ingest([event(acme, at=OLD)], reporter=PLATFORM, now=THEN)
    fold_all(now=NOW)
    Day.objects.update(dropped_at=NOW)
    told = [event(globex, at=OLD, ip=None)]
    assert [each.code for each in ingest(told, reporter=PLATFORM, now=NOW).refused] == ["day_closed"]
    partitions.drop_day(DAY)
    Day.objects.update(removed_at=NOW)
    assert ingest(told, reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
