"""Queries on counts. Every statistic of panel and APIs is read here, from counts only, never from events.

Ids that were never counted have zeroes. Times are UTC; `now` is the caller's clock.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from django.db import DatabaseError
from django.db.models import Count as CountOf
from django.db.models import Max, Min, OuterRef, Q, QuerySet, Subquery, Sum

from core import sql_lists
from core.compiled import Compiled
from ippools.models import IPPoolMember
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain, Period
from stats.ledger.database import ALIAS, has_failed
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
from stats.models.names import OTHER
from stats.reports.reader import COLUMNS, ZERO, Counts, counts_of, rows_of, sums_of, totals

DETAILED_DAYS = 30
DETAILED_HOURS = 24
MOST_MAILBOXES = 10_000
# What the rest of the senders is called where mailboxes are listed; no mailbox is without an @.
OTHER_SENDERS = "other"
OTHER_PROVIDERS = "other"


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages sent so far today and this month."""

    today: int = 0
    this_month: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """The counts of one bucket of a series, by the time it begins."""

    at: datetime.datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Detailed:
    """Thirty days and twenty-four hours, oldest first, the current ones last, none left out."""

    daily: list[Point]
    hourly: list[Point]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Messages sent by mailbox, most first; `mailboxes` and `emails` are of all, also of those that were cut off."""

    sent: dict[str, int] = field(default_factory=dict)
    mailboxes: int = 0
    emails: int = 0

    @property
    def is_truncated(self) -> bool:
        return len(self.sent) < self.mailboxes


# --- Addresses and pools ---------------------------------------------------------------------------------------------


def sent_by_address(address_ids: Iterable[int], period: Period | str | None, now: datetime.datetime) -> dict[int, int]:
    """Return the messages that each address sent in a period, for every id given; None is all time.

    Raises ValueError for an unknown period.
    """
    ids = list(address_ids)
    span = buckets.span_of(None if period is None else Period(period), now)
    rows = AddressCount.objects.filter(
        grain=span.grain, bucket__in=list(range(span.first, span.last + 1)), address_id__in=sql_lists.sought(ids)
    )
    found = rows.values("address_id").annotate(total=Sum("sent")).values_list("address_id", "total")
    return dict.fromkeys(ids, 0) | dict(found)


def month_and_total_by_address(
    address_ids: Iterable[int], now: datetime.datetime
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the messages that each address sent this month and in all, for every id given. One query."""
    ids = list(address_ids)
    month, total = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    spans: dict[int, dict[int, int]] = {Grain.MONTH: month, Grain.TOTAL: total}
    wanted = Q(grain=Grain.MONTH, bucket=buckets.span_of(Period.MONTH, now).first) | Q(grain=Grain.TOTAL, bucket=0)
    rows = AddressCount.objects.filter(wanted, address_id__in=sql_lists.sought(ids))
    for address_id, grain, sent in rows.values_list("address_id", "grain", "sent"):
        spans[grain][address_id] = sent
    return month, total


def rank_pools(organization_id: int) -> list[int]:
    """Return the ids of the organization's pools with addresses, least used of all time first: two queries.

    While the counts' own database is away, all count as unused: a new server need not wait for it.
    """
    members: dict[int, list[int]] = {}
    pairs = IPPoolMember.objects.filter(pool__organization_pools__organization_id=organization_id)
    for pool_id, address_id in pairs.values_list("pool_id", "ip_address_id"):
        members.setdefault(pool_id, []).append(address_id)
    addresses = {each for ids in members.values() for each in ids}
    try:
        sent = sent_by_address(addresses, None, buckets.EPOCH)
    except DatabaseError:
        if not has_failed():
            raise
        sent = dict.fromkeys(addresses, 0)
    return sorted(members, key=lambda pk: order_of(pk, sum(sent[each] for each in members[pk]), len(members[pk])))


def order_of(pool_id: int, sent: int, addresses: int) -> tuple[Fraction, int]:
    """Return what pools are ordered by, least used first: messages per address, not rounded; ties go to the lower id."""
    return Fraction(sent, addresses), pool_id


def sent_this_month(address_id: int, now: datetime.datetime) -> int:
    """Return the messages that one address sent this month."""
    row = _SENT.first(buckets.span_of(Period.MONTH, now).first, address_id, using=ALIAS)
    return row[0] if row is not None else 0


def address_series(address_id: int, first_day: int, last_day: int) -> list[Point]:
    """Return the counts of an address for each day from first to last, days without mail included."""
    days = range(first_day, last_day + 1)
    found = {
        day: Counts(*numbers) for day, *numbers in _days_of(AddressCount, len(days)).all(address_id, *days, using=ALIAS)
    }
    return [Point(buckets.start_of_day(day), found.get(day, ZERO)) for day in days]


def providers_by_day(address_id: int, first_day: int, last_day: int) -> dict[tuple[int, str], dict[int, Counts]]:
    """Return an address's counts by the recipients' provider (id and name; `other` is all that are not known) and day."""
    days = range(first_day, last_day + 1)
    rows = _days_of(ProviderCount, len(days), "provider_id").all(address_id, *days, using=ALIAS)
    names: dict[int, str] = dict(_PROVIDERS.all())
    found: dict[tuple[int, str], dict[int, Counts]] = {}
    # One address's rows of a day are one for each provider: there is nothing to add up, but for those that are not known.
    for day, provider_id, *numbers in rows:
        if not any(numbers):
            continue
        counts = Counts(*numbers)
        known = provider_id if provider_id in names else 0
        by_day = found.setdefault((known, names.get(provider_id, OTHER_PROVIDERS)), {})
        by_day[day] = by_day[day] + counts if day in by_day else counts
    return found


_SENT = Compiled(
    (int, int),
    lambda month, address_id: (
        rows_of(AddressCount, Grain.MONTH, [month]).filter(address_id=address_id).values_list("sent")
    ),
)
_PROVIDERS = Compiled((), lambda: Provider.objects.order_by().values_list("id", "name"))


@cache
def _days_of(counts: type[AddressCount | ProviderCount], days: int, *more: str) -> Compiled[*tuple[int, ...]]:
    """Return the statement that reads an address's rows of so many days: the day, more columns, and each kind's number.

    Made once, as it is read by every page of an address, and making it takes longer.
    """

    def build(address_id: int, *wanted: int) -> QuerySet[Any, tuple[Any, ...]]:
        rows = rows_of(counts, Grain.DAY, wanted).filter(address_id=address_id)
        return rows.order_by().values_list("bucket", *more, *COLUMNS)

    return Compiled((int,) * (1 + days), build)


# --- Servers ---------------------------------------------------------------------------------------------------------


def server_sent(server_ids: Iterable[int], now: datetime.datetime) -> dict[int, Sent]:
    """Return what each server sent today and this month, for every id given."""
    ids = list(server_ids)
    return _sent(ServerCount.objects.filter(server_id__in=sql_lists.sought(ids)), "server_id", ids, now)


def server_totals(server_ids: Iterable[int]) -> dict[int, Counts]:
    """Return each server's counts of all time, for every id given."""
    ids = list(server_ids)
    return dict.fromkeys(ids, ZERO) | _by_id(rows_of(ServerCount, Grain.TOTAL, [0], server_id=ids), "server_id")


def last_minute(server_ids: Iterable[int], now: datetime.datetime) -> dict[int, Counts]:
    """Return each server's counts over the last complete minute, for every id given."""
    ids = list(server_ids)
    rows = rows_of(ServerCount, Grain.MINUTE, [buckets.minute_of(now) - 1], server_id=ids)
    return dict.fromkeys(ids, ZERO) | _by_id(rows, "server_id")


def settled(counts: Counts) -> int:
    """Return how many messages have come to an end: sent, bounced, or held (which a development server's are for good).

    A late bounce is of a message that was settled when it was sent.
    """
    return counts.sent + counts.bounced + counts.held


def queued(counts: Counts) -> int:
    """Return how many of the accepted messages are not settled; 0 where the platform does not report `incoming`.

    It is a difference of what was counted, because nothing tells which events are of one message: an id names an event
    (SendGrid gives each its own), recipients are only hashed, and events are kept for `SLUICE_EVENT_RETENTION` while a
    message counts for ever. Each event counts once, so order and repetitions change nothing. Below 0, `incoming` of settled
    messages is missing: its source does not report it, or began to later than it reported `sent`. How many then wait cannot be
    known, and no number of messages is negative.
    """
    return max(0, counts.incoming - settled(counts))


def detailed_stats(server_id: int, now: datetime.datetime) -> Detailed:
    """Return thirty UTC days and twenty-four UTC hours of one server, the current ones included and last."""
    today, hour = buckets.day_of(now), buckets.hour_of(now)
    rows = ServerCount.objects.filter(
        Q(grain=Grain.DAY, bucket__in=range(today - DETAILED_DAYS + 1, today + 1))
        | Q(grain=Grain.HOUR, bucket__in=range(hour - DETAILED_HOURS + 1, hour + 1)),
        server_id=server_id,
    )
    found = {(row["grain"], row["bucket"]): counts_of(row) for row in rows.values("grain", "bucket", *COLUMNS)}
    return Detailed(
        daily=[
            Point(buckets.start_of_day(day), found.get((Grain.DAY, day), ZERO))
            for day in range(today - DETAILED_DAYS + 1, today + 1)
        ],
        hourly=[
            Point(buckets.start_of_hour(each), found.get((Grain.HOUR, each), ZERO))
            for each in range(hour - DETAILED_HOURS + 1, hour + 1)
        ],
    )


def sent_between(server_id: int, first: datetime.date, last: datetime.date) -> int:
    """Return what a server sent from one UTC day to another, both included; whole months are read as months."""
    days, months = _days_and_months(_counted(ServerCount, first, last))
    condition = Q(grain=Grain.DAY, bucket__in=days) | Q(grain=Grain.MONTH, bucket__in=months)
    rows = ServerCount.objects.filter(condition, server_id=server_id)
    return rows.aggregate(total=Sum("sent"))["total"] or 0


@dataclass(frozen=True, slots=True)
class BusyServer:
    """A server's counts and names."""

    server_id: int
    name: str
    organization: str
    is_deleted: bool
    counts: Counts


def busiest_servers(server_ids: Iterable[int] | None, first_day: int, last_day: int, *, limit: int) -> list[BusyServer]:
    """Return the servers that sent most over some days and still have a record, with their names.

    Two queries: names in the first would be looked up for every row that is added up.
    """
    rows = rows_of(ServerCount, Grain.DAY, range(first_day, last_day + 1), server_id=server_ids)
    ranked = list(rows.values("server_id").annotate(**totals(ServerCount)).order_by("-total_sent", "server_id")[:limit])
    servers = Server.objects.select_related("organization").in_bulk([row["server_id"] for row in ranked])
    return [
        BusyServer(
            server.pk, server.name, server.organization.name, server.deleted_at is not None,
            counts_of(row, prefix="total_"),
        )
        for row in ranked
        if (server := servers.get(row["server_id"])) is not None
    ]  # fmt: skip


# --- Domains and senders of a server ---------------------------------------------------------------------------------


def domain_sent(server_id: int, names: Iterable[str], now: datetime.datetime) -> dict[str, Sent]:
    """Return what a server sent from each domain (a lower-case A-label) today and this month, for every name given.

    Mail that was counted before the domain had a record is there.
    """
    wanted = list(names)
    known = dict(SenderDomain.objects.filter(server_id=server_id, name__in=wanted).values_list("id", "name"))
    sent = _sent(DomainCount.objects.filter(domain_id__in=sql_lists.sought(known)), "domain_id", known, now)
    return dict.fromkeys(wanted, Sent()) | {known[domain_id]: each for domain_id, each in sent.items()}


def sent_by_sender(
    server_id: int, first: datetime.date, last: datetime.date, *, limit: int = MOST_MAILBOXES
) -> Breakdown:
    """Return what a server sent by sender mailbox from one UTC day to another, both included, most first.

    Senders beyond a day's allowance of new ones are one mailbox, `other`.
    """
    days = _counted(SenderCount, first, last)
    rows = SenderCount.objects.filter(grain=Grain.DAY, bucket__in=days, server_id=server_id, sent__gt=0)
    ranked = list(
        rows.values("sender_id")
        .annotate(total=Sum("sent"))
        .order_by("-total", "sender_id")
        .values_list("sender_id", "total")[:limit]
    )
    names = dict(
        Sender.objects.filter(pk__in=sql_lists.ids(sender_id for sender_id, _ in ranked)).values_list("id", "name")
    )
    sent = {_mailbox(names[sender_id]): total for sender_id, total in ranked}
    if len(sent) < limit:
        return Breakdown(sent, mailboxes=len(sent), emails=sum(sent.values()))
    whole = rows.aggregate(mailboxes=CountOf("sender_id", distinct=True), emails=Sum("sent"))
    return Breakdown(sent, **whole)


def top_senders(server_id: int, first_day: int, last_day: int, *, limit: int) -> list[tuple[str, Counts]]:
    """Return the sender mailboxes that a server sent most from over some days, most first. One query."""
    name = Subquery(Sender.objects.filter(pk=OuterRef("sender_id")).values("name")[:1])
    rows = rows_of(SenderCount, Grain.DAY, range(first_day, last_day + 1), server_id=[server_id])
    ranked = rows.values("sender_id").annotate(**totals(SenderCount), called=name)
    return [
        (_mailbox(row["called"]), counts_of(row, prefix="total_"))
        for row in ranked.order_by("-total_sent", "sender_id")[:limit]
    ]


# --- How it is read --------------------------------------------------------------------------------------------------


def _by_id(rows: QuerySet[Any], key: str) -> dict[int, Counts]:
    return {ids[0]: counts for ids, counts in sums_of(rows, key).items()}


def _sent(rows: QuerySet[Any], key: str, ids: Iterable[int], now: datetime.datetime) -> dict[int, Sent]:
    today, month = buckets.span_of(Period.TODAY, now).first, buckets.span_of(Period.MONTH, now).first
    found: dict[int, dict[int, int]] = {}
    current = rows.filter(Q(grain=Grain.DAY, bucket=today) | Q(grain=Grain.MONTH, bucket=month))
    for subject, grain, sent in current.values_list(key, "grain", "sent"):
        found.setdefault(subject, {})[grain] = sent
    return {each: Sent(found.get(each, {}).get(Grain.DAY, 0), found.get(each, {}).get(Grain.MONTH, 0)) for each in ids}


def _counted(counts: type[ServerCount] | type[SenderCount], first: datetime.date, last: datetime.date) -> range:
    """Return the days from first to last, both included, without those before or after anything was counted.

    A caller may ask from the year 1 to the year 9999.
    """
    edges = counts.objects.filter(grain=Grain.DAY).aggregate(least=Min("bucket"), greatest=Max("bucket"))
    if edges["least"] is None:
        return range(0)
    return range(max(buckets.day_number(first), edges["least"]), min(buckets.day_number(last), edges["greatest"]) + 1)


def _days_and_months(days: range) -> tuple[list[int], range]:
    """Split days into whole months and the days left at both ends."""
    if not days:
        return [], range(0)
    first_month = buckets.month_number(buckets.date_of(days.start))
    if buckets.first_day_of_month(first_month) < days.start:
        first_month += 1
    end_month = buckets.month_number(buckets.date_of(days.stop))
    if first_month >= end_month:
        return list(days), range(0)
    head = range(days.start, buckets.first_day_of_month(first_month))
    tail = range(buckets.first_day_of_month(end_month), days.stop)
    return [*head, *tail], range(first_month, end_month)


def _mailbox(name: str) -> str:
    return OTHER_SENDERS if name == OTHER else name
