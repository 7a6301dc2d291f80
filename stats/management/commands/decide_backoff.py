"""`manage.py decide_backoff`: run the throttle programs now."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from core.commands import PlainCommand
from stats import programs


class Command(PlainCommand):
    help = "Run the throttle programs on the latest replies, as the worker does every ten seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        decided = programs.decide(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(asdict(decided)))
        else:
            self.stdout.write(
                f"{decided.looked_at:,} throttles: {decided.began:,} began to back off,"
                f" {decided.extended:,} were extended, {decided.ended:,} returned to normal,"
                f" {decided.changed:,} follow another limit."
            )
