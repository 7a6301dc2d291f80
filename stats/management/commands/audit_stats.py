"""`manage.py audit_stats`: compare the counts with the events."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from core.commands import PlainCommand
from stats.counts.audit import audit
from stats.management.days import add_day_arguments, days_between


class Command(PlainCommand):
    help = "Compare the counts with the stored events. Ends with status 1 if they differ. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_day_arguments(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = audit(days_between(options["first"], options["last"]), now=timezone.now())
        if options["json"]:
            result = {
                "days": len(found.days),
                "events": found.events,
                "differing": found.differing,
                "missing_events": sum(found.missing_events.values()),
                "differences": [str(each) for each in found.differences],
            }
            self.stdout.write(json.dumps(result))
        else:
            if not found.is_clean:
                self.stderr.write(str(found))
            self.stdout.write(
                f"{found.events:,} events of {len(found.days)} days: "
                + ("all counts match." if found.is_clean else f"{found.differing:,} counts differ.")
            )
        if not found.is_clean:
            sys.exit(1)
