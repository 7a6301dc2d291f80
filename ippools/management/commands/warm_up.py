"""`manage.py warm_up PLAN IPV4…`: put addresses on a warm-up plan."""

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.db import transaction
from django.utils import timezone

from core.commands import ActCommand
from core.names import fold
from ippools import warm_ups
from ippools.models import IPAddress
from throttling.models import WarmUpPlan


class Command(ActCommand):
    help = (
        "Put IP addresses on a warm-up plan, from today (UTC) or a later date. Addresses that have a warm-up keep it."
    )

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plan", help="The name of the plan.")
        parser.add_argument("ipv4", nargs="+", help="The addresses.")
        parser.add_argument(
            "--from", dest="on", default="", help="The first date, as YYYY-MM-DD. The default is today."
        )

    @transaction.atomic
    def act(self, *, plan: str, ipv4: list[str], on: str, **options: Any) -> dict[str, Any]:
        now = timezone.now()
        found = WarmUpPlan.objects.filter(name_key=fold(plan)).first()
        if found is None:
            raise CommandError(f"There is no warm-up plan “{plan}”.")
        ids = dict(IPAddress.objects.filter(ipv4__in=ipv4).values_list("ipv4", "pk"))
        if unknown := sorted(set(ipv4) - ids.keys()):
            raise CommandError(f"There is no IP address {unknown[0]}.")
        begun = warm_ups.begin_many(
            address_ids=list(ids.values()), plan_id=found.pk, on=_date(on, now), at=now, actor=self.actor
        )
        return {"plan": found.name, "begun": begun, "unchanged": len(ids) - begun}

    def describe(self, outcome: dict[str, Any]) -> str:
        return f"{outcome['begun']} addresses begin the plan {outcome['plan']}; {outcome['unchanged']} have a warm-up already"


def _date(text: str, now: datetime.datetime) -> datetime.date:
    if not text:
        return now.astimezone(datetime.UTC).date()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"“{text}” is not a date (YYYY-MM-DD).") from None
