"""`manage.py restore FILE`: an empty panel becomes what `backup` saw."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from config.backup import BackupRefused, restore_backup
from config.checks import unreadable_secrets


class Command(BaseCommand):
    help = (
        "Fill an empty, migrated database from a file that `backup` wrote, on SQLite or PostgreSQL, whichever wrote it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            rows = restore_backup(file)
        except BackupRefused as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"Restored {rows:,} rows from {file}.")
        for sentence in unreadable_secrets():
            self.stderr.write(sentence)
