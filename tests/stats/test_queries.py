"""What is read from the counts. Counts are written here by hand: that they are right is the fold's tests' matter."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.pools import create_pool
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import (
    AddressCount,
    DomainCount,
    Provider,
    ProviderCount,
    Sender,
    SenderCount,
    SenderDomain,
    ServerCount,
)
from stats.reports import queries
from stats.reports.queries import Point, Sent
from stats.reports.reader import Counts
from tests.stats.conftest import ACTOR, NOW, Tenant, make_tenant

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

TODAY = buckets.day_of(NOW)
HOUR = buckets.hour_of(NOW)
MONTH = buckets.month_number(NOW.date())


def count_address(address_id: int, grain: Grain, bucket: int, **counts: int) -> None:
    AddressCount.objects.create(address_id=address_id, grain=grain, bucket=bucket, **counts)


def count_server(server_id: int, grain: Grain, bucket: int, **counts: int) -> None:
    ServerCount.objects.create(server_id=server_id, grain=grain, bucket=bucket, **counts)


@pytest.mark.parametrize(
    ("period", "expected"),
    [(None, 100_000), ("today", 3), ("yesterday", 5), ("week", 3 + 5 + 7 + 1), ("month", 40), ("year", 600)],
)
def test_sent_by_address_counts_each_period(period: str | None, expected: int) -> None:
    for day, sent in [(TODAY, 3), (TODAY - 1, 5), (TODAY - 2, 7), (TODAY - 3, 11), (TODAY + 1, 1)]:
        count_address(7, Grain.DAY, day, sent=sent, bounced=1000)
    count_address(7, Grain.MONTH, MONTH, sent=40)
    count_address(7, Grain.MONTH, MONTH - 1, sent=41)
    count_address(7, Grain.YEAR, 2026, sent=600)
    count_address(7, Grain.YEAR, 2025, sent=601)
    count_address(7, Grain.TOTAL, 0, sent=100_000)
    count_address(9, Grain.TOTAL, 0, sent=1)
    count_address(9, Grain.DAY, TODAY, sent=1)
    assert queries.sent_by_address([7, 8], period, NOW) == {7: expected, 8: 0}
    assert queries.month_and_total_by_address([7, 8], NOW) == ({7: 40, 8: 0}, {7: 100_000, 8: 0})


def test_sent_by_address_refuses_an_unknown_period() -> None:
    with pytest.raises(ValueError, match="fortnight"):
        queries.sent_by_address([7], "fortnight", NOW)


def test_sent_by_address_takes_one_query_however_many() -> None:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert queries.sent_by_address(range(1, 40_001), "week", NOW) == dict.fromkeys(range(1, 40_001), 0)
    assert len(captured) == 1


def test_pools_are_ranked_by_what_an_address_of_them_sent() -> None:
    acme = make_tenant("Acme", "192.0.2.1", "192.0.2.2")
    globex = make_tenant("Globex", "198.51.100.1")
    busy = create_pool(organization=acme.organization, name="Busy", ips=["192.0.2.3"], actor=ACTOR).pool
    idle = create_pool(organization=acme.organization, name="Idle", ips=["192.0.2.4"], actor=ACTOR).pool
    create_pool(organization=acme.organization, name="Empty", ips=[], actor=ACTOR)
    shared = create_pool(
        organization=acme.organization, name="Shared", ips=["192.0.2.1", "192.0.2.4"], actor=ACTOR
    ).pool
    ids = dict(acme.pool.addresses.values_list("ipv4", "pk")) | dict(busy.addresses.values_list("ipv4", "pk"))
    count_address(ids["192.0.2.1"], Grain.TOTAL, 0, sent=3)
    count_address(ids["192.0.2.2"], Grain.TOTAL, 0, sent=4)
    count_address(ids["192.0.2.3"], Grain.TOTAL, 0, sent=4)
    # Main has 3.5 an address, Busy 4, Idle 0, Shared 1.5.
    assert queries.rank_pools(acme.organization.pk) == [idle.pk, shared.pk, acme.pool.pk, busy.pk]
    assert queries.rank_pools(globex.organization.pk) == [globex.pool.pk]
    assert queries.rank_pools(0) == []


def test_pools_alike_are_ranked_by_their_id(acme: Tenant) -> None:
    second = create_pool(organization=acme.organization, name="Second", ips=["192.0.2.9"], actor=ACTOR).pool
    assert queries.rank_pools(acme.organization.pk) == [acme.pool.pk, second.pk]


def test_server_sent_today_and_this_month() -> None:
    count_server(1, Grain.DAY, TODAY, sent=5, incoming=9)
    count_server(1, Grain.DAY, TODAY - 1, sent=50)
    count_server(1, Grain.MONTH, MONTH, sent=70)
    count_server(1, Grain.MONTH, MONTH - 1, sent=700)
    count_server(2, Grain.MONTH, MONTH, sent=8)
    count_server(3, Grain.DAY, TODAY, sent=1000)
    assert queries.server_sent([1, 2, 4], NOW) == {1: Sent(5, 70), 2: Sent(0, 8), 4: Sent(0, 0)}


def test_server_totals_and_the_last_complete_minute() -> None:
    minute = buckets.minute_of(NOW)
    count_server(1, Grain.TOTAL, 0, sent=5, incoming=9, bounced=1)
    count_server(1, Grain.MINUTE, minute, sent=100)
    count_server(1, Grain.MINUTE, minute - 1, sent=60, deferred=2)
    assert queries.server_totals([1, 2]) == {1: Counts(sent=5, incoming=9, bounced=1), 2: Counts()}
    assert queries.last_minute([1, 2], NOW) == {1: Counts(sent=60, deferred=2), 2: Counts()}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(incoming=10, sent=4, bounced=1, deferred=3), 5),
        (Counts(incoming=10, sent=4, held=3, late_bounce=2), 3),
        (Counts(sent=4, bounced=1), 0),
        (Counts(), 0),
    ],
)
def test_what_is_queued_was_accepted_and_not_settled(counts: Counts, expected: int) -> None:
    assert queries.queued(counts) == expected


def test_detailed_stats_have_thirty_days_and_twenty_four_hours() -> None:
    kinds = {"incoming": 1, "sent": 2, "deferred": 3, "bounced": 4, "held": 5, "spam": 6, "complaint": 7}
    count_server(1, Grain.DAY, TODAY, **kinds)
    count_server(1, Grain.DAY, TODAY - 29, sent=29)
    count_server(1, Grain.DAY, TODAY - 30, sent=30)
    count_server(1, Grain.DAY, TODAY + 1, sent=31)
    count_server(1, Grain.HOUR, HOUR, sent=1)
    count_server(1, Grain.HOUR, HOUR - 23, sent=23)
    count_server(1, Grain.HOUR, HOUR - 24, sent=24)
    count_server(2, Grain.HOUR, HOUR, sent=1000)
    count_server(2, Grain.DAY, TODAY, sent=1000)
    with CaptureQueriesContext(connection) as captured:
        detailed = queries.detailed_stats(1, NOW)
    assert len(captured) == 1
    start = datetime.datetime(2026, 3, 11, tzinfo=datetime.UTC)
    days = {0: Counts(**kinds), 29: Counts(sent=29)}
    hours = {0: Counts(sent=1), 23: Counts(sent=23)}
    assert detailed.daily == [
        Point(start - datetime.timedelta(days=ago), days.get(ago, Counts())) for ago in range(29, -1, -1)
    ]
    assert detailed.hourly == [
        Point(start + datetime.timedelta(hours=15 - ago), hours.get(ago, Counts())) for ago in range(23, -1, -1)
    ]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-03-11", "2026-03-11", 1),
        ("2026-03-10", "2026-03-11", 2),
        ("2026-03-12", "2026-03-20", 0),
        ("2026-01-31", "2026-03-01", 1 + 28 + 1),
        ("2026-02-01", "2026-02-28", 28),
        ("2026-02-02", "2026-02-27", 26),
        ("2024-02-01", "2024-03-01", 30),
        ("2023-12-31", "2026-03-11", 1 + 366 + 365 + 70),
        ("0001-01-01", "9999-12-31", 1 + 366 + 365 + 70),
        ("0001-01-01", "2023-12-30", 0),
    ],
)
def test_sent_between_adds_days_and_months(first: str, last: str, expected: int) -> None:
    """One message a day from 2023-12-31 on; months are their sums."""
    months: dict[int, int] = {}
    for day in range(buckets.day_number(datetime.date(2023, 12, 31)), TODAY + 1):
        count_server(1, Grain.DAY, day, sent=1)
        month = buckets.month_number(buckets.date_of(day))
        months[month] = months.get(month, 0) + 1
    for month, sent in months.items():
        count_server(1, Grain.MONTH, month, sent=sent)
    count_server(2, Grain.DAY, TODAY, sent=1000)
    count_server(2, Grain.MONTH, MONTH, sent=1000)
    between = queries.sent_between(1, datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
    assert between == expected


def test_sent_between_without_any_counts() -> None:
    assert queries.sent_between(1, datetime.date(1, 1, 1), datetime.date(9999, 12, 31)) == 0


def test_sent_by_sender_lists_the_mailboxes_of_one_server() -> None:
    alice = Sender.objects.create(server_id=1, name="alice@acme.example", first_seen_day=TODAY)
    bob = Sender.objects.create(server_id=1, name="bob@acme.example", first_seen_day=TODAY)
    rest = Sender.objects.create(server_id=1, name="*", first_seen_day=TODAY)
    other = Sender.objects.create(server_id=2, name="eve@globex.example", first_seen_day=TODAY)
    for sender, day, sent in [
        (alice, TODAY, 2),
        (alice, TODAY - 1, 3),
        (alice, TODAY - 2, 50),
        (bob, TODAY, 7),
        (rest, TODAY, 1),
        (other, TODAY, 9),
    ]:
        SenderCount.objects.create(
            grain=Grain.DAY, bucket=day, server_id=sender.server_id, sender_id=sender.pk, sent=sent, bounced=99
        )
    SenderCount.objects.create(grain=Grain.DAY, bucket=TODAY - 1, server_id=1, sender_id=bob.pk, bounced=5)
    yesterday, today = NOW.date() - datetime.timedelta(days=1), NOW.date()
    whole = queries.sent_by_sender(1, yesterday, today)
    assert list(whole.sent.items()) == [("bob@acme.example", 7), ("alice@acme.example", 5), ("other", 1)]
    assert (whole.mailboxes, whole.emails, whole.is_truncated) == (3, 13, False)
    cut = queries.sent_by_sender(1, yesterday, today, limit=2)
    assert list(cut.sent.items()) == [("bob@acme.example", 7), ("alice@acme.example", 5)]
    assert (cut.mailboxes, cut.emails, cut.is_truncated) == (3, 13, True)
    exact = queries.sent_by_sender(1, yesterday, today, limit=3)
    assert (exact.mailboxes, exact.emails, exact.is_truncated) == (3, 13, False)
    assert queries.sent_by_sender(3, yesterday, today) == queries.Breakdown()


def test_domain_sent_by_name() -> None:
    mine = SenderDomain.objects.create(server_id=1, name="acme.example", first_seen_day=TODAY)
    other = SenderDomain.objects.create(server_id=2, name="acme.example", first_seen_day=TODAY)
    for domain, sent in [(mine, 4), (other, 400)]:
        DomainCount.objects.create(grain=Grain.DAY, bucket=TODAY, domain_id=domain.pk, sent=sent)
        DomainCount.objects.create(grain=Grain.MONTH, bucket=MONTH, domain_id=domain.pk, sent=sent * 2)
    assert queries.domain_sent(1, ["acme.example", "new.example"], NOW) == {
        "acme.example": Sent(4, 8),
        "new.example": Sent(0, 0),
    }


def test_the_busiest_servers_first(acme: Tenant, globex: Tenant) -> None:
    first, second = acme.server.pk, globex.server.pk
    count_server(first, Grain.DAY, TODAY, sent=1)
    count_server(first, Grain.DAY, TODAY - 1, sent=5)
    count_server(second, Grain.DAY, TODAY, sent=7)
    # Its record is gone.
    count_server(10**6, Grain.DAY, TODAY, sent=9)
    found = queries.busiest_servers(None, TODAY - 1, TODAY, limit=3)
    assert [(each.server_id, each.counts) for each in found] == [(second, Counts(sent=7)), (first, Counts(sent=6))]
    assert (found[0].name, found[0].organization, found[0].is_deleted) == (
        globex.server.name,
        globex.organization.name,
        False,
    )
    assert [each.server_id for each in queries.busiest_servers([first], TODAY - 1, TODAY, limit=2)] == [first]


def test_series_and_providers_of_addresses() -> None:
    gmail = Provider.objects.get_or_create(name="Gmail")[0]
    count_address(1, Grain.DAY, TODAY, sent=3)
    count_address(2, Grain.DAY, TODAY, sent=4)
    count_address(2, Grain.DAY, TODAY - 1, sent=5)
    for provider_id, sent in [(gmail.pk, 2), (0, 9), (32_000, 1)]:
        ProviderCount.objects.create(
            grain=Grain.DAY, bucket=TODAY, address_id=1, provider_id=provider_id, sent=sent, bounced=1
        )
    for address, sent in ((1, [0, 3]), (2, [5, 4]), (3, [0, 0])):
        assert [point.counts.sent for point in queries.address_series(address, TODAY - 1, TODAY)] == sent
    assert queries.providers_by_day(1, TODAY - 1, TODAY) == {
        # A provider that was deleted counts among the others.
        (0, "other"): {TODAY: Counts(sent=10, bounced=2)},
        (gmail.pk, "Gmail"): {TODAY: Counts(sent=2, bounced=1)},
    }
