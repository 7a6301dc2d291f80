"""`manage.py backup FILE`: write the whole database to one file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from config.backup import BackupRefused, write_backup
from core.commands import PlainCommand


class Command(PlainCommand):
    help = "Write the whole database to one new file (gzipped JSON lines). The panel can keep running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            rows = write_backup(file, now=timezone.now())
        except (BackupRefused, OSError) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(
            f"Wrote {rows:,} rows into {file}. Keep a copy of SLUICE_ENCRYPTION_KEYS as well, apart from this file: "
            "they decrypt the secrets in it."
        )
