"""`manage.py restore FILE`: load a file of `backup` into an empty database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from config.backup import BackupRefused, restore_backup
from config.checks import unreadable_secrets
from core.commands import PlainCommand


class Command(PlainCommand):
    help = (
        "Restore a file written by `backup` into an empty, migrated database: SQLite or PostgreSQL, "
        "independent of the source."
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
