"""Pools heal: the troubles of addresses are read, and addresses are drained or restored (throttling.drain, ippools.drains).

What is read: confirmed listings, broken DNS identities, caps of throttle programs, and counts by address and provider. Deciding
again at once changes nothing; deciders follow one another.
"""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, Q

from core.audit import Actor
from core.locks import advisory
from dnschecks.checked import DNSStatus
from ippools import drains
from ippools.models import AddressCap, AddressDrain, AddressIdentity, IPPool, IPPoolMember, Listing, WarmUp
from ippools.models.blocklist import CONFIRMED_AFTER
from nodes import stand_ins
from nodes.stand_ins import StandIns
from stats import warm_up
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import Provider
from stats.reports import reputation
from stats.reports.queries import OTHER_PROVIDERS
from stats.reports.reader import Counts
from throttling import drain
from throttling.domains import ITSELF_AND_SUBDOMAINS, SUBDOMAINS
from throttling.drain import Address, Effect, Group, Mode, State, Trouble, TroubleKind
from throttling.limits import CapKind

SYSTEM = Actor.system()
# Acceptance is looked at over so many hours, the current one included.
SPANS = (3, 8, 24)
_WRONG = (DNSStatus.MISSING, DNSStatus.INVALID)
_CHECKS = (("ptr", "PTR"), ("fcrdns", "FCrDNS"), ("helo", "HELO"))


@dataclass(frozen=True, slots=True)
class Decided:
    """How many addresses a decision looked at, and what became of some."""

    looked_at: int = 0
    drained: int = 0
    withheld: int = 0
    told: int = 0
    restored: int = 0


@dataclass(slots=True)
class _Read:
    """What a decision is made from."""

    addresses: dict[int, Address] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    domains: dict[str, list[str]] = field(default_factory=dict)


def decide(*, now: datetime.datetime) -> Decided:
    """Decide on every address of the pools that watch or act, and on those that are drained."""
    with transaction.atomic():
        advisory("nodes.healing")
        read = _read(now)
        found: defaultdict[str, int] = defaultdict(int)
        for step in drain.decide(read.addresses, read.groups, now):
            before = read.addresses[step.address_id].state
            drains.take(step, domains=read.domains, at=now, actor=SYSTEM)
            if step.effect is not None and step.reason:
                found[step.effect.value] += 1
            elif step.effect is None and before is not None and before.effect == Effect.DRAINED:
                found["restored"] += 1
        watched = sum(each.mode != Mode.OFF for each in read.addresses.values())
        return Decided(looked_at=watched, **found)


def _read(now: datetime.datetime) -> _Read:
    """Return the addresses concerned with their troubles: two queries where draining is off everywhere."""
    states = {row.address_id: row for row in AddressDrain.objects.open()}
    is_watched = ~Q(drain_mode__in=["", Mode.OFF.value])
    if settings.SLUICE_DRAIN != Mode.OFF:
        is_watched |= Q(drain_mode="")
    watched = IPPoolMember.objects.filter(pool__in=IPPool.objects.filter(is_watched))
    concerned = {*watched.values_list("ip_address_id", flat=True), *states}
    if not concerned:
        return _Read()
    found = stand_ins.of_addresses(concerned)
    domains = {name: list(patterns) for name, patterns in _domains_of_providers().items()}
    troubles = _troubles(found, domains, now)
    warming = set(WarmUp.objects.active().filter(address__in=found.senders).values_list("address_id", flat=True))
    ended = AddressDrain.objects.filter(address__in=found.senders, ended_at__isnull=False).order_by()
    lately = ended.filter(ended_at__gt=now - drain.REMEMBERED, drained_at__isnull=False)
    relapses = dict(lately.values_list("address_id").annotate(Count("pk")))
    spared = dict(ended.filter(spared_until__gt=now).values_list("address_id").annotate(Max("spared_until")))
    return _Read(
        {
            pk: Address(
                id=pk,
                name=sender.ipv4,
                mode=drain.least_mode(drains.mode_of(pool.drain_mode) for pool in found.pools_of.get(pk, ())),
                weight=sender.weight,
                sends=sender.sends,
                is_warming=pk in warming,
                troubles=tuple(troubles.get(pk, ())),
                state=_state(states.get(pk)),
                spared_until=spared.get(pk),
                relapses=relapses.get(pk, 0),
            )
            for pk, sender in found.senders.items()
        },
        found.groups,
        domains,
    )


def _state(row: AddressDrain | None) -> State | None:
    return None if row is None else State(Effect(row.effect), frozenset(row.providers), row.well_since)


# --- The troubles ----------------------------------------------------------------------------------------------------


def _troubles(
    found: StandIns, domains: dict[str, list[str]], now: datetime.datetime
) -> Mapping[int, Sequence[Trouble]]:
    """Return the troubles of all addresses that stand in for each other; domains of rules are added to `domains`."""
    troubles: defaultdict[int, list[Trouble]] = defaultdict(list)
    ids = found.senders.keys()
    for pk, trouble in (
        *_listed(ids, now),
        *_without_identity(ids),
        *_backing_off(ids, domains, now),
        *_accepted_less(found, now),
    ):
        troubles[pk].append(trouble)
    return troubles


def _listed(ids: Collection[int], now: datetime.datetime) -> Iterable[tuple[int, Trouble]]:
    """Yield the listings that were seen twice, an hour apart. One query."""
    rows = Listing.objects.confirmed(now).filter(address__in=ids).order_by("address_id", "blocklist__name")
    for pk, sentence, first, last in rows.values_list("address_id", "listing_error", "first_seen_at", "last_seen_at"):
        yield (
            pk,
            Trouble(TroubleKind.LISTED, f"listed: {sentence.rstrip('.')}, seen from {_clock(first)} to {_clock(last)}"),
        )


def _without_identity(ids: Collection[int]) -> Iterable[tuple[int, Trouble]]:
    """Yield the identities that checks found broken for an hour. One query."""
    rows = AddressIdentity.objects.filter(ip_address__in=ids, broken_since__lte=F("dns_checked_at") - CONFIRMED_AFTER)
    for row in rows.order_by("pk"):
        wrong = [
            f"{word} {getattr(row, f'{name}_status')}"
            for name, word in _CHECKS
            if getattr(row, f"{name}_status") in _WRONG
        ]
        yield (
            row.pk,
            Trouble(
                TroubleKind.IDENTITY, f"its DNS identity is broken since {_clock(row.broken_since)}: {', '.join(wrong)}"
            ),
        )


def _backing_off(
    ids: Collection[int], domains: dict[str, list[str]], now: datetime.datetime
) -> Iterable[tuple[int, Trouble]]:
    """Yield the addresses that back off at several providers. Two queries, and adds domains of rules to `domains`."""
    provider_of = {_bare(pattern): name for name, patterns in domains.items() for pattern in patterns}
    caps = AddressCap.objects.active(now).filter(
        kind=CapKind.THROTTLE_PROGRAM.value, address__in=ids, rule__isnull=False
    )
    names: defaultdict[int, set[str]] = defaultdict(set)
    for cap in caps.order_by("pk").prefetch_related("rule__domains"):
        for each in cap.rule.domains.all() if cap.rule is not None else ():
            name = provider_of.get(_bare(each.pattern), each.pattern)
            domains.setdefault(name, [each.pattern])
            names[cap.address_id].add(name)
            if name == each.pattern:
                # The first of several domains that are no known provider's stands for the rule.
                break
    for pk, found in sorted(names.items()):
        if (trouble := drain.back_off(found)) is not None:
            yield pk, trouble


def _accepted_less(found: StandIns, now: datetime.datetime) -> Iterable[tuple[int, Trouble]]:
    """Yield the addresses of whose mail a provider accepts far less than of their pools' others. Six queries."""
    this_hour = buckets.hour_of(now)
    names = {pk: name for pk, name in reputation.provider_names().items() if name != OTHER_PROVIDERS}
    lately = {
        hours: reputation.by_address_and_provider(found.senders, this_hour - hours + 1, this_hour, Grain.HOUR)
        for hours in SPANS
    }

    newest = [
        reputation.by_address_and_provider(found.senders, hour, hour, Grain.HOUR) for hour in (this_hour, this_hour - 1)
    ]

    def tried(span: Mapping[int, Mapping[int, Counts]], pk: int, provider: int) -> tuple[int, int]:
        counts = span.get(pk, {}).get(provider)
        return (0, 0) if counts is None else (counts.sent, counts.sent + counts.deferred + counts.bounced)

    def compared(
        span: Mapping[int, Mapping[int, Counts]], pk: int, provider: int, others: Collection[int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        sums = [tried(span, other, provider) for other in others]
        usual = sum(accepted for accepted, _ in sums), sum(attempts for _, attempts in sums)
        return tried(span, pk, provider), usual

    for pk in sorted(found.senders):
        others = {other for pool in found.pools_of.get(pk, ()) for other in found.members[pool.pk]} - {pk}
        for provider in sorted(lately[SPANS[-1]].get(pk, {}).keys() & names.keys()):
            # The fewest hours that say enough.
            hours = next(
                (each for each in SPANS if tried(lately[each], pk, provider)[1] >= drain.LEAST_ATTEMPTS), SPANS[-1]
            )
            own, usual = compared(lately[hours], pk, provider, others)
            trouble = drain.acceptance(names[provider], own, usual, hours=hours)
            # What is over, as its newest hour with enough attempts says, is no trouble any more.
            recent = (compared(hour, pk, provider, others) for hour in newest)
            last = next((each for each in recent if min(each[0][1], each[1][1]) >= drain.LEAST_IN_AN_HOUR), None)
            if trouble is not None and (last is None or drain.is_far_below(*last)):
                yield pk, trouble


def _domains_of_providers() -> Mapping[str, Collection[str]]:
    return warm_up.domains_of_providers(set(Provider.objects.values_list("name", flat=True)))


def _bare(pattern: str) -> str:
    return pattern.removeprefix(ITSELF_AND_SUBDOMAINS).removeprefix(SUBDOMAINS)


def _clock(at: datetime.datetime | None) -> str:
    return "–" if at is None else f"{at.astimezone(datetime.UTC):%-d %B %H:%M} UTC"
