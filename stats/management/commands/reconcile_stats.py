"""`manage.py reconcile_stats`: after one of two databases was restored, bring the configuration's up to the statistics'."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.commands import PlainCommand
from stats.ledger import reconciling
from stats.ledger.database import IS_APART


class Command(PlainCommand):
    help = (
        "Run this after the configuration's database or that of the statistics (STATS_DATABASE_URL) was restored, before mail "
        "is sent again: new records get no number that the statistics know already, and consumers act on the batches of the "
        "last hour that the configuration does not know of. Running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if not IS_APART:
            raise CommandError("Configuration and statistics are in one database: there is nothing to reconcile.")
        found = reconciling.reconcile(now=timezone.now())
        if options["json"]:
            self.stdout.write(
                json.dumps({"numbers": found.numbers, "batches": found.batches, "waiting": found.waiting})
            )
            return
        for table, number in found.numbers.items():
            self.stdout.write(f"{table}: new records are numbered from {number + 1:,}.")
        self.stdout.write(f"{found.batches:,} batches were looked at again.")
        if found.waiting:
            self.stdout.write(f"{found.waiting:,} of them wait for what failed; the log says why.")
