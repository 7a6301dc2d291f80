"""Warm-ups act: what happened to an address's mail is read from the counts, and each date is decided once.

Deciding a date again changes nothing, whenever and however often it is asked for, but for one thing: where events of the day
before arrived late and say that it went badly, a day that had advanced is taken back until its end. Where the panel was away,
the next decision is one step: what happened in between is judged together.
"""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction

from core import sql_lists
from core.audit import Actor
from core.locks import advisory
from ippools import warm_ups
from ippools.models import WarmUp, WarmUpDay
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import AddressCount, AddressReasonCount, Provider, ProviderCount
from stats.models.provider import ProviderDomain
from stats.reasons import Reason
from throttling import warmup
from throttling.warmup import Counts

SYSTEM = Actor.system()
# What stands for any ending in a provider's patterns. Limits know no such pattern: these endings are bounded.
ANY_ENDING = ".*"
ENDINGS = (
    "com",
    "co.uk",
    "de",
    "fr",
    "it",
    "es",
    "nl",
    "be",
    "at",
    "ch",
    "ca",
    "com.au",
    "com.br",
    "com.mx",
    "in",
    "co.in",
    "co.jp",
)


@dataclass(frozen=True, slots=True)
class Decided:
    """How many warm-ups a decision looked at, and what became of them."""

    looked_at: int = 0
    decided: int = 0
    finished: int = 0
    # Days that were taken back, because of events that arrived late.
    corrected: int = 0


@dataclass(frozen=True, slots=True)
class Resting:
    """That nothing leaves by an address until the next hour: its day allows no more up to now. No domains: all mail."""

    address_id: int
    until: datetime.datetime
    domains: tuple[str, ...] = ()


def decide(*, now: datetime.datetime) -> Decided:
    """Decide on today (UTC) for each warm-up that has begun and has no decision for it."""
    today = now.astimezone(datetime.UTC).date()
    with transaction.atomic():
        advisory("stats.warm_up")
        rows = WarmUp.objects.active().filter(begins_on__lte=today).select_related("plan", "address").order_by("pk")
        found = list(rows)
        latest = _latest_days(found, today)
        domains = domains_of_providers({name for each in found for name in each.plan.providers})
        changes = {"decided": 0, "finished": 0, "corrected": 0}
        for each in found:
            last = latest.get(each.pk)
            plan = each.plan.value()
            if last is not None and last.on >= today:
                corrected = _corrected(each, plan, last) if last.on == today else None
                if corrected is not None:
                    warm_ups.decide(each, corrected, on=today, domains=domains, at=now, actor=SYSTEM)
                    changes["corrected"] += 1
                continue
            if last is None:
                day = warmup.first_day(plan)
            else:
                passed = (today - last.on).days
                happened = happened_between(each.address_id, last.on, today)
                following = warmup.next_day(
                    plan, warm_ups.day_of(last), happened, days=passed, is_locked=each.is_locked
                )
                if following is None:
                    warm_ups.finish(each, at=now, actor=SYSTEM)
                    changes["finished"] += 1
                    continue
                day = following
            warm_ups.decide(each, day, on=today, domains=domains, at=now, actor=SYSTEM)
            changes["decided"] += 1
        return Decided(len(found), **changes)


def _corrected(warm_up: WarmUp, plan: warmup.Plan, row: WarmUpDay) -> warmup.Day | None:
    """Return what would be decided for the date of a day by what is known now, if that is an earlier day; None: it stays."""
    if warm_up.is_locked or row.change != warmup.Change.ADVANCED:
        return None
    previous = warm_up.days.filter(on__lt=row.on).order_by("-on").first()
    if previous is None:
        return None
    happened = happened_between(warm_up.address_id, previous.on, row.on)
    found = warmup.next_day(plan, warm_ups.day_of(previous), happened, days=(row.on - previous.on).days)
    if found is None or found.number >= row.number:
        return None
    return replace(found, reason=f"{found.reason}; decided again, as some of its events arrived late")


def happened_between(address_id: int, first: datetime.date, end: datetime.date) -> dict[str, Counts]:
    """Return what became of an address's mail from one date to before another, by provider. Two queries."""
    days = list(range(buckets.day_number(first), buckets.day_number(end)))
    names = dict(Provider.objects.values_list("pk", "name"))
    found: defaultdict[str, Counts] = defaultdict(Counts)
    counts = ProviderCount.objects.filter(grain=Grain.DAY, bucket__in=days, address_id=address_id)
    columns = ("provider_id", "sent", "deferred", "bounced", "complaint")
    for provider, *numbers in counts.values_list(*columns):
        found[names.get(provider, warmup.OTHERS)] += Counts(*numbers)
    blocked = AddressReasonCount.objects.filter(
        grain=Grain.DAY, bucket__in=days, address_id=address_id, reason=Reason.BLOCKED
    )
    for provider, deferred, bounced in blocked.values_list("provider_id", "deferred", "bounced"):
        found[names.get(provider, warmup.OTHERS)] += Counts(blocked=deferred + bounced)
    return dict(found)


def resting(address_ids: Collection[int], now: datetime.datetime) -> list[Resting]:
    """Return which addresses have used their part of today's caps, by address. One query, five where any is warmed up."""
    active = WarmUp.objects.active().filter(address_id__in=sql_lists.ids(address_ids)).select_related("plan")
    found = {each.pk: each for each in active.order_by("address_id")}
    if not found:
        return []
    days = _latest_days(found.values(), now.astimezone(datetime.UTC).date())
    domains = domains_of_providers({name for day in days.values() for name in day.provider_caps})
    used, used_at = _attempts_today({each.address_id for each in found.values()}, now)
    began = now.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    hour, until = began.hour, began + datetime.timedelta(hours=1)
    result = []
    for pk, day in days.items():
        address = found[pk].address_id
        if used.get(address, 0) >= warmup.due(day.cap, hour):
            result.append(Resting(address, until))
            continue
        for name, cap in sorted(day.provider_caps.items()):
            if domains.get(name) and used_at.get((address, name), 0) >= warmup.due(cap, hour):
                result.append(Resting(address, until, tuple(sorted(domains[name]))))
    return sorted(result, key=lambda each: (each.address_id, each.domains))


def domains_of_providers(names: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return the providers' domains as patterns of limits, by name. One query, none without names."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    if names:
        rows = ProviderDomain.objects.filter(provider__name__in=names).order_by("pattern")
        for name, pattern in rows.values_list("provider__name", "pattern"):
            if pattern.endswith(ANY_ENDING):
                found[name] += [pattern.removesuffix("*") + ending for ending in ENDINGS]
            else:
                found[name].append(pattern)
    return {name: sorted(set(patterns)) for name, patterns in found.items()}


def sent_by_day(address_id: int, first: datetime.date, last: datetime.date) -> dict[datetime.date, int]:
    """Return what an address sent on each date that has counts, both dates included. One query."""
    days = list(range(buckets.day_number(first), buckets.day_number(last) + 1))
    rows = AddressCount.objects.filter(grain=Grain.DAY, bucket__in=days, address_id=address_id)
    return {buckets.date_of(bucket): sent for bucket, sent in rows.values_list("bucket", "sent")}


def _latest_days(found: Iterable[WarmUp], today: datetime.date) -> dict[int, WarmUpDay]:
    """Return the newest day of each warm-up, by its id; tomorrow's is that of a worker whose clock is ahead by a little.

    Later ones were decided by a clock that was wrong.
    """
    tomorrow = today + datetime.timedelta(days=1)
    rows = WarmUpDay.objects.filter(warm_up__in=[each.pk for each in found], on__lte=tomorrow).order_by("on")
    return {row.warm_up_id: row for row in rows}


def _attempts_today(
    address_ids: Collection[int], now: datetime.datetime
) -> tuple[dict[int, int], dict[tuple[int, str], int]]:
    names = dict(Provider.objects.values_list("pk", "name"))
    rows = ProviderCount.objects.filter(
        grain=Grain.DAY, bucket=buckets.day_of(now), address_id__in=sql_lists.sought(address_ids)
    )
    used: defaultdict[int, int] = defaultdict(int)
    used_at: dict[tuple[int, str], int] = {}
    for address, provider, *numbers in rows.values_list("address_id", "provider_id", "sent", "deferred", "bounced"):
        used[address] += sum(numbers)
        used_at[address, names.get(provider, warmup.OTHERS)] = sum(numbers)
    return used, used_at
