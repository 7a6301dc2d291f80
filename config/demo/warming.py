"""The demo's warm-up: an address on day 9 of its plan. Each day was decided by the counts of the day before."""

import datetime

from django.db import transaction

from config.demo import cast
from config.demo.platform import ACTOR
from ippools import warm_ups
from ippools.models import IPAddress, WarmUp
from stats.warm_up import domains_of_providers, happened_between
from throttling import warmup
from throttling.models import WarmUpPlan

DAY = datetime.timedelta(days=1)


def begins_on(now: datetime.datetime) -> datetime.date:
    """Return when the warm-up began, or is to begin."""
    known = WarmUp.objects.filter(address__ipv4=cast.WARMING_ADDRESS).values_list("begins_on", flat=True).first()
    return known or now.astimezone(datetime.UTC).date() - (len(cast.WARMING_SENT) - 1) * DAY


def make(*, now: datetime.datetime) -> None:
    """Put the address on its plan, and decide each day up to today; nothing where it was on one. Needs the counts."""
    address = IPAddress.objects.filter(ipv4=cast.WARMING_ADDRESS, warm_ups=None).first()
    plan = WarmUpPlan.objects.filter(name=cast.WARMING_PLAN, is_builtin=True).first()
    if address is None or plan is None:
        return
    value, began = plan.value(), begins_on(now)
    domains = domains_of_providers(plan.providers.keys())
    with transaction.atomic():
        # At the hour of now, so that no cap begins in the future.
        first = now - (now.astimezone(datetime.UTC).date() - began)
        begun = warm_ups.begin(address_id=address.pk, plan_id=plan.pk, on=began, at=first, actor=ACTOR)
        day: warmup.Day | None = warmup.first_day(value)
        for number in range(len(cast.WARMING_SENT)):
            on, at = began + number * DAY, first + number * DAY
            if number and day is not None:
                day = warmup.next_day(value, day, happened_between(address.pk, on - DAY, on))
            if day is None:
                return
            warm_ups.decide(begun, day, on=on, domains=domains, at=at, actor=ACTOR)
