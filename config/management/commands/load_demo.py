"""`manage.py load_demo`: fill this installation with demo data. `make demo` calls it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.utils import timezone

from config.demo import alerts, backing_off, cast, healing, nodes, platform, warming
from config.demo.counts import Counts
from core.commands import PlainCommand


class Command(PlainCommand):
    help = (
        "Create demo data: three organizations with servers, pools, addresses, people and a year of counts. Running it "
        "again adds what is missing, and the events since the last run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--in-production",
            action="store_true",
            help="allow it if DATABASE_URL is set; no command removes the demo data",
        )

    def handle(self, *args: Any, in_production: bool, **options: Any) -> None:
        if settings.IS_PRODUCTION and not in_production:
            raise CommandError(
                "This is a production database (DATABASE_URL is set). No command removes demo data; "
                "give --in-production to load it anyway."
            )
        began, now = time.monotonic(), timezone.now()
        platform.make(now=now)
        stored = Counts(now=now).write()
        self.stdout.write(
            f"{len(cast.ORGANIZATIONS)} organizations, {len(cast.SERVERS)} servers,"
            f" {sum(pool.count for pool in cast.POOLS)} addresses in {len(cast.POOLS)} pools; {stored:,} new events"
            f" and a year of counts, in {time.monotonic() - began:.0f} s."
        )
        warming.make(now=now)
        mails = alerts.make(now=now)
        # After them: the alerts are of a time before it.
        healing.make(now=now)
        backing_off.make(now=now)
        # The last: a revision has all that came before it.
        nodes.make(now=now)
        if mails and (folder := getattr(settings, "EMAIL_FILE_PATH", None)):
            self.stdout.write(
                f"{mails} e-mails of alerts are in {folder}: {cast.RECOVERED_ADDRESS} went bad and recovered."
            )
        self.stdout.write("People, who sign in with the password that `make reset-password WHO=ana` prints:")
        names = {organization.permalink: organization.name for organization in cast.ORGANIZATIONS}
        for person in cast.PEOPLE:
            role = f"{person.role} of {names[person.organization]}" if person.organization else "the platform's staff"
            self.stdout.write(f"  {person.username:8}{person.name}, {role}")
