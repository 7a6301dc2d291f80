"""`manage.py roll_up_stats`: count the stored events now."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from core.commands import PlainCommand
from stats.counts.fold import fold_all


class Command(PlainCommand):
    help = (
        "Count the events of all open batches, including batches that another process is counting. "
        "Running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        folded = fold_all(now=timezone.now(), wait=True)
        if options["json"]:
            self.stdout.write(json.dumps({"batches": folded.batches, "events": folded.events, "rows": folded.rows}))
        else:
            seconds = time.monotonic() - began
            self.stdout.write(f"{folded.events:,} events of {folded.batches:,} batches counted in {seconds:.1f} s.")
