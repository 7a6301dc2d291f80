"""`manage.py rebuild_stats --from DAY --to DAY`: rebuild the counts of days whose events are stored."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.commands import PlainCommand
from stats.counts.audit import EventsMissing, rebuild
from stats.counts.runs import logged
from stats.management.days import add_day_arguments, days_between
from stats.models import RollupRun


class Command(PlainCommand):
    help = (
        "Rebuild the counts of some days, and of their months, years and totals, from the stored events. Folding waits "
        "meanwhile. Days whose events were dropped are skipped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_day_arguments(parser)
        parser.add_argument(
            "--accept-loss", action="store_true", help="rebuild a day even if some of its events are missing"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        days = days_between(options["first"], options["last"])
        try:
            with logged(RollupRun.Kind.REBUILD) as run:
                run.rows = rebuild(days, now=timezone.now(), even_if_missing=options["accept_loss"])
        except EventsMissing as problem:
            advice = "That day was not changed; --accept-loss removes them from the counts."
            raise CommandError(f"{problem}. {advice}") from None
        if options["json"]:
            self.stdout.write(json.dumps({"rows": run.rows}))
        else:
            self.stdout.write(f"{run.rows:,} counts differed and are corrected." if run.rows else "All counts matched.")
