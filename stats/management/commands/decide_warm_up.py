"""`manage.py decide_warm_up`: decide on today for every warm-up, now."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from core.commands import PlainCommand
from stats import warm_up


class Command(PlainCommand):
    help = (
        "Decide on today (UTC) for every address that is being warmed up, as the worker does. A date is decided once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        decided = warm_up.decide(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(asdict(decided)))
        else:
            self.stdout.write(
                f"{decided.looked_at:,} warm-ups: {decided.decided:,} decided, {decided.finished:,} finished,"
                f" {decided.corrected:,} corrected."
            )
