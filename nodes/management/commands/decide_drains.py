"""`manage.py decide_drains`: drain addresses in trouble and restore those that are well, now."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from core.commands import PlainCommand
from nodes import healing


class Command(PlainCommand):
    help = "Decide which addresses are drained, as the worker does every minute. Pools say whether it only watches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        decided = healing.decide(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(asdict(decided)))
        else:
            self.stdout.write(
                f"{decided.looked_at:,} addresses: {decided.drained:,} drained, {decided.restored:,} restored, "
                f"{decided.withheld:,} kept by a limit, {decided.told:,} reported only."
            )
