"""Noisy neighbours: sums equal a recount of the events, the bad customer is named first, and what is left is a subtraction."""

import datetime
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.counts import buckets
from stats.intake.ingest import Reporter, ingest
from stats.reports.neighbours import Tally, judged, of_addresses, without
from tests.cast import make_server
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import random_events
from tests.stats.recount import reason_of

ATTEMPTS = ("sent", "deferred", "bounced")


def store(events):
    answer = ingest(events, reporter=Reporter(), now=NOW)
    assert not answer.refused


def mail(tenant, number, kind="sent", *, ip="192.0.2.1", reply=None, sender="alice@acme.example", minutes=5, name=""):
    at = (NOW - datetime.timedelta(minutes=minutes)).isoformat()
    return [
        {"id": f"{tenant.server.pk}{name}{kind}{minutes}-{index}", "type": kind, "at": at, "server": str(tenant.server.uuid),
         "ip": ip, "from": sender, "to": f"u{index}@gmail.com", **({"reply": reply} if reply else {})}
        for index in range(number)
    ]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.storage
def test_sums_equal_a_recount(acme: Tenant, globex: Tenant) -> None:
    other = make_server(acme.organization, "Other")
    other = Tenant(acme.organization, other.server, other.key, acme.pool, acme.addresses)
    events = random_events([acme, other, globex], 600, seed=5)
    store(events)
    first = buckets.hour_of(NOW) - 23
    since = buckets.start_of_hour(first)
    address = acme.addresses[0]
    wanted = [
        each
        for each in events
        if each.get("ip") == address.ipv4 and datetime.datetime.fromisoformat(each["at"]) >= since
    ]
    found = of_addresses([address.pk], hours=24, now=NOW)
    assert (found.first_hour, found.last_hour) == (first, buckets.hour_of(NOW))
    by_server = Counter((each["server"], each["type"]) for each in wanted)
    ids = {str(each.server.uuid): each.server.pk for each in (acme, other)}
    tallies = {row.id: row.tally for row in found.servers}
    for (uuid, kind), number in by_server.items():
        if kind in (*ATTEMPTS, "complaint"):
            assert getattr(tallies[ids[uuid]], kind) == number
    assert found.total.attempts == sum(number for (_, kind), number in by_server.items() if kind in ATTEMPTS)
    blocked = [each for each in wanted if each["type"] in ("deferred", "bounced") and reason_of(each) == "blocked"]
    assert found.total.blocked == len(blocked)
    for row in found.servers:
        assert sum(row.hours.values()) == row.tally.refused
        assert row.left.attempts == found.total.attempts - row.tally.attempts
    assert sum(row.tally.attempts for row in found.domains) == found.total.attempts
    # Another tenant's mail by another address is not in it.
    assert globex.server.pk not in tallies


@pytest.mark.django_db
def test_the_bad_customer_of_a_shared_address_is_named_first(acme: Tenant) -> None:
    bad = make_server(acme.organization, "Bad")
    blocked = "550 5.7.1 Service unavailable, client host blocked using Spamhaus"
    store(
        [
            # The largest, and as everybody else.
            *mail(acme, 900), *mail(acme, 45, "deferred", reply="451 4.3.0 try later"),
            *mail(bad, 100, sender="x@bad.example"), *mail(bad, 90, "bounced", reply=blocked, sender="x@bad.example"),
            *mail(bad, 20, "bounced", reply=blocked, sender="x@bad.example", minutes=65, name="b"),
            *mail(bad, 8, "complaint", sender="x@bad.example"),
            # By another address.
            *mail(acme, 50, "bounced", ip="192.0.2.2", reply=blocked, name="c"),
        ]
    )  # fmt: skip
    found = of_addresses([acme.addresses[0].pk], hours=6, now=NOW)
    first, second = found.servers
    assert (first.name, first.stands_out, second.stands_out) == ("Acme: Bad", True, False)
    assert first.tally == Tally(sent=100, bounced=110, blocked=110, complaint=8)
    assert (first.left.attempts, first.left.refused, first.left.complaint) == (945, 45, 0)
    assert round(first.left.percent, 2) == 4.76
    assert (round(first.left.lowest, 2), round(first.left.highest, 2)) == (3.58, 6.31)
    assert round(first.excess) == 100
    hour = buckets.hour_of(NOW)
    assert first.hours == {hour: 90, hour - 1: 20}
    assert [number for _, number in first.replies] == [110]
    assert "blocked using" in first.replies[0][0]
    assert [row.name for row in found.domains] == ["bad.example (Acme: Bad)", "acme.example (Acme: Mailer)"]
    both = of_addresses([each.pk for each in acme.addresses], hours=6, now=NOW)
    assert both.total.attempts == found.total.attempts + 50


@pytest.mark.django_db
def test_nothing_is_held(acme: Tenant) -> None:
    found = of_addresses([acme.addresses[0].pk], hours=6, now=NOW)
    assert (found.total, found.servers, found.domains) == (Tally(), (), ())


def test_one_that_sends_alone_leaves_nothing():
    alone = Tally(sent=10, deferred=90)
    [row] = judged(alone, [(1, "A", alone)])
    assert (row.left, row.stands_out, row.excess) == (None, False, 90)


def test_few_attempts_do_not_stand_out():
    few, others = Tally(bounced=49), Tally(sent=1_000)
    total = Tally(sent=1_000, bounced=49)
    assert [row.stands_out for row in judged(total, [(1, "few", few), (2, "others", others)])] == [False, False]
    assert judged(Tally(sent=1_000, bounced=50), [(1, "enough", Tally(bounced=50))])[0].stands_out


TALLIES = st.builds(Tally, *[st.integers(0, 500)] * 5)


@given(st.lists(TALLIES, min_size=1, max_size=6))
def test_what_is_left_and_what_was_brought_are_the_whole(tallies):
    total = Tally(*(sum(getattr(each, name) for each in tallies) for name in Tally.__slots__))
    for row in judged(total, [(pk, str(pk), each) for pk, each in enumerate(tallies)]):
        left = without(total, row.tally)
        assert (left is None) == (row.tally.attempts == total.attempts)
        if left is None:
            continue
        assert left.refused + row.tally.refused == total.refused
        assert left.complaint + row.tally.complaint == total.complaint
        assert 0 <= left.lowest <= left.percent + 1e-9
        assert left.percent <= left.highest + 1e-9
        assert left.highest <= 100
