"""Any question about the counts: over which time, of whose mail, by what, and the scope that answers it exactly.

A question that no scope can answer is `NotKept`, with what is missing: there is never an estimate, and never a part of a sum.
"""

import datetime
import enum
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from core import sql_lists
from stats.counts import buckets, tiers
from stats.counts.buckets import Grain
from stats.counts.tiers import Scope
from stats.models import (
    AddressCount,
    AddressReasonCount,
    Bucket,
    DomainCount,
    PlatformCount,
    PlatformProviderCount,
    ProviderCount,
    ReasonCount,
    SenderCount,
    SenderDomain,
    ServerCount,
    ServerProviderCount,
    SignatureCount,
)
from stats.reports.reader import Counts, counts_of, kinds_of, sums_of, totals

# Of more keys than these the ones with least are left out, and the answer says so.
MOST_KEYS = 10_000
# Points of a series: three hours, a month and a day, five years.
MOST_POINTS = {Grain.MINUTE: 180, Grain.HOUR: 32 * 24, Grain.DAY: 5 * 366}
_SECONDS = {Grain.MINUTE: 60, Grain.HOUR: 3_600, Grain.DAY: 86_400}
# Of fewer keys each bucket's row is looked up; of more, or of all, a range of buckets is read.
_FEW = 20


class By(enum.StrEnum):
    """What counts are kept of."""

    SERVER = "server"
    ADDRESS = "address"
    PROVIDER = "provider"
    DOMAIN = "domain"
    SENDER = "sender"
    REASON = "reason"
    SIGNATURE = "signature"


# What people say for them.
_IN_WORDS = {
    By.ADDRESS: "IP address", By.PROVIDER: "recipients’ provider", By.DOMAIN: "sender domain", By.REASON: "class of the reply",
    By.SIGNATURE: "reply",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """A scope as it can be asked: its table, and what each of its keys is there."""

    scopes: tuple[Scope, ...]
    model: type[Bucket]
    keys: Mapping[By, Any]
    # What must be asked for: without it another scope counts more mail, or more kinds.
    needs: frozenset[By] = frozenset()
    # What it should have counted, by a table that is older: where that has rows and this has none yet, it was not there.
    since: tuple[type[Bucket], Q] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return kinds_of(self.model)

    def answers(self, subjects: frozenset[By]) -> bool:
        """Whether it has all of these, and counts all mail that they are about."""
        return self.needs <= subjects <= set(self.keys)

    def kept_from(self, grain: Grain, now: datetime.datetime) -> datetime.datetime | None:
        """Return from when on counts of this grain are kept; None: there are none."""
        for scope in self.scopes:
            if grain in scope.grains:
                match grain:
                    case Grain.MINUTE:
                        return _start(Grain.MINUTE, buckets.minute_of(now - tiers.MINUTES_KEPT))
                    case Grain.HOUR:
                        return _start(Grain.HOUR, buckets.hour_of(now - scope.hours_kept))
                    case _:
                        return buckets.EPOCH
        return None


def _of_domain(column: str) -> Subquery:
    return Subquery(SenderDomain.objects.filter(pk=OuterRef("domain_id")).values(column)[:1])


_REPLIES = Q(deferred__gt=0) | Q(bounced__gt=0) | Q(late_bounce__gt=0)
_SINCE = (ServerCount, Q())
_SERVER, _ADDRESS, _PROVIDER = F("server_id"), F("address_id"), F("provider_id")
# The first that has all that is asked for answers.
VIEWS = (
    View((tiers.PLATFORM,), PlatformCount, {}),
    View((tiers.PLATFORM_PROVIDERS,), PlatformProviderCount, {By.PROVIDER: _PROVIDER}, frozenset({By.PROVIDER}), _SINCE),
    View((tiers.SERVERS, tiers.SERVER_MINUTES), ServerCount, {By.SERVER: _SERVER}),
    View((tiers.ADDRESSES,), AddressCount, {By.ADDRESS: _ADDRESS}, frozenset({By.ADDRESS})),
    View(
        (tiers.SERVER_PROVIDERS,), ServerProviderCount, {By.SERVER: _SERVER, By.PROVIDER: _PROVIDER},
        frozenset({By.PROVIDER}), _SINCE,
    ),
    View(
        (tiers.PROVIDERS,), ProviderCount, {By.ADDRESS: _ADDRESS, By.PROVIDER: _PROVIDER},
        frozenset({By.ADDRESS, By.PROVIDER}),
    ),
    View(
        (tiers.DOMAINS,), DomainCount, {By.SERVER: _of_domain("server_id"), By.DOMAIN: _of_domain("name")},
        frozenset({By.DOMAIN}),
    ),
    View((tiers.SENDERS,), SenderCount, {By.SERVER: _SERVER, By.SENDER: F("sender_id")}, frozenset({By.SENDER})),
    View(
        (tiers.REASONS,), ReasonCount, {By.SERVER: _SERVER, By.REASON: F("reason")},
        frozenset({By.REASON}), (ServerCount, _REPLIES),
    ),
    View(
        (tiers.ADDRESS_REASONS,), AddressReasonCount, {By.ADDRESS: _ADDRESS, By.PROVIDER: _PROVIDER, By.REASON: F("reason")},
        frozenset({By.REASON}), (AddressCount, _REPLIES),
    ),
    View(
        (tiers.SIGNATURES,), SignatureCount, {By.ADDRESS: _ADDRESS, By.SIGNATURE: F("signature_id")},
        frozenset({By.SIGNATURE}),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the time (half-open), how fine, of whose mail, and by what."""

    start: datetime.datetime
    end: datetime.datetime
    # The length of a point of the series; days are those of the zone.
    grain: Grain
    zone: datetime.tzinfo
    # Ids by what they are ids of (names for domains); none of a kind that is asked for: nothing is counted.
    only: Mapping[By, Sequence[Any]] = field(default_factory=dict)
    group: By | None = None

    @property
    def subjects(self) -> frozenset[By]:
        return frozenset(self.only) | ({self.group} if self.group else frozenset())

    def edges(self) -> list[datetime.datetime]:
        """Return where the points of the series begin, and the end. Raises NotKept where they are too many."""
        most = MOST_POINTS[self.grain]
        found = [self.start]
        while found[-1] < self.end:
            if len(found) > most:
                raise NotKept(Lack.TOO_FINE, f"These are more than {most:,} points.")
            found.append(min(self._after(found[-1]), self.end))
        return found

    def _after(self, at: datetime.datetime) -> datetime.datetime:
        if self.grain != Grain.DAY:
            return at + datetime.timedelta(seconds=_SECONDS[self.grain])
        tomorrow = at.astimezone(self.zone).date() + datetime.timedelta(days=1)
        return buckets.day_begins(tomorrow, self.zone)


class Lack(enum.Enum):
    """What counts are not kept of."""

    TOGETHER = "together"  # the subjects, in one scope
    FINE = "fine"  # times as fine as these
    OLD = "old"  # fine times as old as these
    BEFORE = "before"  # the time before the scope was there
    TOO_FINE = "too fine"  # kept, but too many points


class NotKept(Exception):
    """No scope answers the question; the sentence says why. `since`: from then on it would be answered."""

    def __init__(self, lack: Lack, sentence: str, since: datetime.datetime | None = None) -> None:
        super().__init__(sentence)
        self.lack, self.sentence, self.since = lack, sentence, since


@dataclass(frozen=True, slots=True)
class Plan:
    """The scope and the tier that answer a question."""

    question: Question
    view: View
    # Of the tier that is read, which may be finer than the series.
    grain: Grain
    edges: Sequence[datetime.datetime]

    @property
    def buckets(self) -> range:
        return range(_number(self.grain, self.edges[0]), _number(self.grain, self.edges[-1]))


@dataclass(frozen=True, slots=True)
class Answer:
    """Sums by point of time and by key; `kinds` are those that the scope counts, the others are 0 and mean nothing."""

    plan: Plan
    series: list[tuple[datetime.datetime, Counts]]
    total: Counts
    groups: dict[Any, Counts]
    # Whether there are more keys than are told.
    is_cut: bool

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.plan.view.kinds


def _in_words(question: Question) -> list[str]:
    return [_IN_WORDS.get(each, str(each)) for each in sorted(question.subjects)]


def plan(question: Question, now: datetime.datetime) -> Plan:
    """Return how a question is answered; raises NotKept. At most one query."""
    views = [view for view in VIEWS if view.answers(question.subjects)]
    if not views:
        *others, last = _in_words(question)
        words = f"{', '.join(others)} and {last}" if others else last
        raise NotKept(Lack.TOGETHER, f"Counts are not kept by {words} together.")
    edges = question.edges()
    lacks = []
    for view in views:
        found = _tier(view, question, edges, now)
        if isinstance(found, NotKept):
            lacks.append(found)
            continue
        planned = Plan(question, view, found, edges)
        _check_beginning(planned)
        return planned
    # What is kept nearly as wanted is said before what is not kept so fine at all.
    raise next((each for each in lacks if each.lack is Lack.OLD), lacks[0])


def ask(planned: Plan) -> Answer:
    """Return the counts. Two queries, one where nothing is grouped."""
    series = _series(planned)
    total = sum((counts for _, counts in series), Counts())
    groups, is_cut = _groups(planned) if planned.question.group else ({}, False)
    return Answer(planned, series, total, groups, is_cut)


def before(question: Question) -> Question:
    """Return the same question of the period before: as many days where it is whole days, otherwise as long."""
    ends = (question.start, question.end)
    first, last = (each.astimezone(question.zone).date() for each in ends)
    if ends == tuple(buckets.day_begins(day, question.zone) for day in (first, last)):
        start = buckets.day_begins(first - (last - first), question.zone)
    else:
        start = question.start - (question.end - question.start)
    return replace(question, start=start, end=question.start)


# --- Which tier ------------------------------------------------------------------------------------------------------


def _tier(
    view: View, question: Question, edges: Sequence[datetime.datetime], now: datetime.datetime
) -> Grain | NotKept:
    """Return the coarsest tier of a scope whose buckets add up to the points of the series, or why there is none."""
    old = None
    fits = (grain for grain in (Grain.DAY, Grain.HOUR, Grain.MINUTE) if _divides(grain, edges))
    for grain in fits:
        kept_from = view.kept_from(grain, now)
        if kept_from is None:
            continue
        if edges[0] >= kept_from:
            return grain
        within = "The time begins or ends within an hour of UTC, and counts by minute are not kept for so long."
        is_finer = grain == Grain.MINUTE and question.grain != Grain.MINUTE
        said = within if is_finer else f"Counts by {grain.label} are not kept for so long."
        old = old or NotKept(Lack.OLD, said, kept_from)
    if old is not None:
        return old
    finest = min(grain for grain in (Grain.MINUTE, Grain.HOUR, Grain.DAY) if view.kept_from(grain, now))
    what = " and ".join(_in_words(question)) or "server"
    return NotKept(Lack.FINE, f"Counts by {what} are kept by whole UTC {finest.label}s, no finer.")


def _divides(grain: Grain, edges: Sequence[datetime.datetime]) -> bool:
    return all(_start(grain, _number(grain, edge)) == edge for edge in edges)


def _number(grain: Grain, at: datetime.datetime) -> int:
    return int((at - buckets.EPOCH).total_seconds()) // _SECONDS[grain]


def _start(grain: Grain, number: int) -> datetime.datetime:
    return buckets.EPOCH + datetime.timedelta(seconds=number * _SECONDS[grain])


def _check_beginning(planned: Plan) -> None:
    """Raise NotKept where the time begins before the scope was there. One query, none for the scopes of the first day."""
    if planned.view.since is None:
        return
    older, condition = planned.view.since
    first = Subquery(
        planned.view.model._default_manager.filter(grain=Grain.DAY).order_by("bucket").values("bucket")[:1]
    )
    last = planned.edges[-1] - datetime.timedelta(minutes=1)
    start, end = _number(Grain.DAY, planned.edges[0]), _number(Grain.DAY, last)
    earlier = older._default_manager.filter(condition, grain=Grain.DAY, bucket__gte=start)
    missed: Any = earlier.filter(bucket__lt=Coalesce(first, end + 1), bucket__lte=end).annotate(first_day=first)
    for day in missed.values_list("first_day", flat=True)[:1]:
        since = None if day is None else buckets.start_of_day(day)
        sentence = "These counts did not exist then" if day is None else "These counts begin later"
        raise NotKept(Lack.BEFORE, f"{sentence}: earlier counts do not distinguish it.", since)


# --- Reading ---------------------------------------------------------------------------------------------------------


def _rows(planned: Plan) -> QuerySet[Any]:
    question, view = planned.question, planned.view
    rows: QuerySet[Any] = view.model._default_manager.filter(grain=planned.grain)
    within = planned.buckets
    if view.model is DomainCount and len(question.only.get(By.SERVER, ())) in range(1, _FEW + 1):
        # Found first: beside a subquery, PostgreSQL would read everybody's counts of these buckets.
        known = list(_sender_domains(question.only).values_list("pk", flat=True)[: _FEW + 1])
        if len(known) <= _FEW:
            return rows.filter(bucket__in=list(within), domain_id__in=known)
    is_few = any(len(ids) <= _FEW for by, ids in question.only.items() if isinstance(view.keys[by], F))
    if is_few or len(within) == 1:
        rows = rows.filter(bucket__in=list(within))
    else:
        rows = rows.filter(bucket__gte=within.start, bucket__lt=within.stop)
    if view.model is DomainCount:
        return _of_domains(rows, question.only)
    for by, ids in question.only.items():
        rows = rows.filter(**{f"{view.keys[by].name}__in": sql_lists.ids(ids)})
    return rows


def _of_domains(rows: QuerySet[Any], only: Mapping[By, Sequence[Any]]) -> QuerySet[Any]:
    return rows.filter(domain_id__in=_sender_domains(only).values("pk")) if only else rows


def _sender_domains(only: Mapping[By, Sequence[Any]]) -> QuerySet[SenderDomain]:
    """Return these servers' sender domains, and those of these names."""
    known = SenderDomain.objects.all()
    if By.SERVER in only:
        known = known.filter(server_id__in=sql_lists.sought(only[By.SERVER]))
    if By.DOMAIN in only:
        known = known.filter(name__in=sql_lists.texts(only[By.DOMAIN]))
    return known


def _series(planned: Plan) -> list[tuple[datetime.datetime, Counts]]:
    points = [Counts() for _ in planned.edges[:-1]]
    for (number,), counts in sums_of(_rows(planned), "bucket").items():
        position = bisect_right(planned.edges, _start(planned.grain, number)) - 1
        points[position] += counts
    return list(zip(planned.edges[:-1], points, strict=True))


def _groups(planned: Plan) -> tuple[dict[Any, Counts], bool]:
    """Return the sums by key, those with most first, and whether there are more."""
    view, group = planned.view, planned.question.group
    assert group is not None
    sums = totals(view.model)
    all_kinds: Any = sum((F(name) for name in list(sums)[1:]), F(next(iter(sums))))
    rows = _rows(planned).annotate(key_of=view.keys[group]).order_by().values("key_of").annotate(**sums)
    ranked: Any = rows.annotate(of_all=all_kinds).order_by("-of_all", "key_of")[: MOST_KEYS + 1]
    found = {row["key_of"]: counts_of(row, view.kinds, "total_") for row in ranked}
    is_cut = len(found) > MOST_KEYS
    return {key: counts for key, counts in list(found.items())[:MOST_KEYS] if counts != Counts()}, is_cut


def without(question: Question, by: By) -> Question:
    """Return the question without one of its subjects."""
    only = {each: ids for each, ids in question.only.items() if each != by}
    return replace(question, only=only, group=None if question.group == by else question.group)


def is_kept_together(subjects: frozenset[By]) -> bool:
    """Whether a scope has all of these."""
    return any(view.answers(subjects) for view in VIEWS)
