"""Whose mail brought an address (or a pool) its deferrals, bounces, blocks and complaints, and what would be left without it.

Counted from the events that are still held, because no scope of counts has servers by address: exact, and as much work as there
are events in the time. What would be left is a subtraction, with the uncertainty of its share; that receivers judge addresses
by all their mail, and would judge the rest otherwise without it, no count can tell.
"""

import datetime
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Count, F, IntegerField
from django.db.models.functions import Cast

from core import sql_lists
from servers.models import Server
from stats.counts import buckets
from stats.kinds import Kind
from stats.ledger import keys
from stats.models import Event, SenderDomain, Signature
from stats.reasons import Reason

# 95 of 100 intervals have the true share.
_Z = 1.96
# Fewer attempts of a subject, or of the others, say nothing about either.
LEAST_ATTEMPTS = 50
NO_NAME = "–"
_COUNTED = (Kind.SENT, Kind.DEFERRED, Kind.BOUNCED, Kind.COMPLAINT)


@dataclass(slots=True)
class Tally:
    """What became of attempts; `blocked` are the refused that blame the sender's reputation."""

    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    blocked: int = 0
    complaint: int = 0

    def add(self, kind: int, reason: int, number: int) -> None:
        """Add events of a kind and class."""
        match kind:
            case Kind.SENT:
                self.sent += number
            case Kind.DEFERRED:
                self.deferred += number
            case Kind.BOUNCED:
                self.bounced += number
            case Kind.COMPLAINT:
                self.complaint += number
        if reason == Reason.BLOCKED and kind in (Kind.DEFERRED, Kind.BOUNCED):
            self.blocked += number

    @property
    def attempts(self) -> int:
        return self.sent + self.deferred + self.bounced

    @property
    def refused(self) -> int:
        return self.deferred + self.bounced

    @property
    def percent(self) -> float | None:
        """The refused share of the attempts, in percent; None without attempts."""
        return 100 * self.refused / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class Left:
    """What would be left without a subject: the others' attempts and refusals, their share in percent, and its interval."""

    attempts: int
    refused: int
    complaint: int
    percent: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A server or sender domain. `excess` are its refusals beyond those that its attempts would have at the others' share.

    `stands_out`: that it is refused more than the others is no chance. `left` None: there are no others.
    """

    id: int
    name: str
    tally: Tally
    excess: float
    stands_out: bool
    left: Left | None
    # By server: the replies that it got most, and the refusals by hour since 1970.
    replies: tuple[tuple[str, int], ...] = ()
    hours: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Servers and sender domains, the most excess first; all together; the first and last hour."""

    total: Tally
    servers: tuple[Neighbour, ...]
    domains: tuple[Neighbour, ...]
    first_hour: int
    last_hour: int


def of_addresses(addresses: Collection[int], *, hours: int, now: datetime.datetime) -> Answer:
    """Return who brought these addresses what, in the last hours (the current one included). Six queries, two over events."""
    last = buckets.hour_of(now)
    first = last - hours + 1
    events = Event.objects.filter(
        key__gte=keys.least_key(first // 24),
        key__lt=keys.least_key(last // 24 + 1),
        minute__range=(first * 60, last * 60 + 59),
        address_id__in=sql_lists.ids(addresses),
        kind__in=_COUNTED,
    ).order_by()
    total = Tally()
    servers: defaultdict[int, Tally] = defaultdict(Tally)
    domains: defaultdict[int, Tally] = defaultdict(Tally)
    rows = events.values_list("server_id", "domain_id", "kind", "reason").annotate(number=Count("*"))
    for server, domain, kind, reason, number in rows:
        for tally in (total, servers[server], domains[domain]):
            tally.add(kind, reason, number)
    replies: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    by_hour: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    refused = events.filter(kind__in=(Kind.DEFERRED, Kind.BOUNCED)).annotate(
        hour=Cast(F("minute") / 60, IntegerField())
    )
    for server, signature, hour, number in refused.values_list("server_id", "signature_id", "hour").annotate(
        number=Count("*")
    ):
        replies[server][signature] += number
        by_hour[server][hour] += number
    texts = _texts({signature for found in replies.values() for signature in found})
    named = _names_of_servers(servers)
    return Answer(
        total,
        tuple(
            judged(
                total,
                ((pk, named.get(pk, NO_NAME), tally) for pk, tally in servers.items()),
                {pk: _most(found, texts) for pk, found in replies.items()},
                by_hour,
            )
        ),
        tuple(judged(total, ((pk, name, domains[pk]) for pk, name in _names_of_domains(domains, named).items()))),
        first,
        last,
    )


def judged(
    total: Tally,
    subjects: Iterable[tuple[int, str, Tally]],
    replies: Mapping[int, tuple[tuple[str, int], ...]] | None = None,
    hours: Mapping[int, Mapping[int, int]] | None = None,
) -> list[Neighbour]:
    """Return subjects against the others of a total, the most excess first. Pure."""
    found = []
    for pk, name, tally in subjects:
        left = without(total, tally)
        usual = 0.0 if left is None else left.percent / 100
        found.append(
            Neighbour(
                pk,
                name,
                tally,
                tally.refused - tally.attempts * usual,
                left is not None and _stands_out(tally, left),
                left,
                (replies or {}).get(pk, ()),
                (hours or {}).get(pk, {}),
            )
        )
    return sorted(found, key=lambda each: (-each.excess, -each.tally.complaint, each.name, each.id))


def without(total: Tally, one: Tally) -> Left | None:
    """Return what a subject would leave; None: nothing. The interval is Wilson's, at 95 %. Pure."""
    attempts, refused = total.attempts - one.attempts, total.refused - one.refused
    if attempts <= 0:
        return None
    share = refused / attempts
    spread = _Z * math.sqrt(share * (1 - share) / attempts + _Z**2 / (4 * attempts**2))
    middle, scale = share + _Z**2 / (2 * attempts), 1 + _Z**2 / attempts
    lowest, highest = max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
    return Left(attempts, refused, total.complaint - one.complaint, 100 * share, 100 * lowest, 100 * highest)


def _stands_out(one: Tally, others: Left) -> bool:
    """Whether it is refused more than the others, beyond chance (two shares, at 95 %)."""
    if min(one.attempts, others.attempts) < LEAST_ATTEMPTS:
        return False
    share, usual = one.refused / one.attempts, others.refused / others.attempts
    together = (one.refused + others.refused) / (one.attempts + others.attempts)
    error = math.sqrt(together * (1 - together) * (1 / one.attempts + 1 / others.attempts))
    return share - usual > _Z * error


def _most(found: Mapping[int, int], texts: Mapping[int, str], most: int = 3) -> tuple[tuple[str, int], ...]:
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]
    return tuple((texts.get(pk, "without a known reply"), number) for pk, number in ordered)


def _texts(signatures: Collection[int]) -> dict[int, str]:
    return dict(Signature.objects.filter(pk__in=sql_lists.ids(signatures)).values_list("pk", "text"))


def _names_of_servers(servers: Collection[int]) -> dict[int, str]:
    rows = Server.objects.filter(pk__in=sql_lists.ids(servers)).select_related("organization")
    return {server.pk: f"{server.organization.name}: {server.name}" for server in rows.order_by("pk")}


def _names_of_domains(domains: Collection[int], servers: Mapping[int, str]) -> dict[int, str]:
    rows = SenderDomain.objects.filter(pk__in=sql_lists.ids(domains)).order_by("pk")
    names = {pk: (name, server) for pk, name, server in rows.values_list("pk", "name", "server_id")}
    return {pk: f"{names[pk][0]} ({servers.get(names[pk][1], NO_NAME)})" if pk in names else NO_NAME for pk in domains}
