"""`manage.py restore FILE`: load a file of `backup` into an empty database."""

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from config.backup import BackupRefused, restore_backup
from config.backups import BackupFailed
from config.checks import unreadable_secrets
from core.commands import PlainCommand


class Command(PlainCommand):
    help = (
        "Restore a file written by `backup` into an empty, migrated database: SQLite or PostgreSQL, "
        "independent of the source. FILE may be in a bucket: s3://bucket/prefix/sluice-2026-11-21.jsonl.gz."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        try:
            rows = _from_bucket(file) if file.startswith("s3://") else restore_backup(Path(file))
        except (BackupRefused, BackupFailed) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"Restored {rows:,} rows from {file}.")
        for sentence in unreadable_secrets():
            self.stderr.write(sentence)


def _from_bucket(address: str) -> int:
    # Loads a library, which nobody without a bucket needs.
    from config.backup_bucket import Bucket

    bucket, _, name = address.rpartition("/")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fetched.jsonl.gz"
        Bucket.configured(bucket).fetch(name, path)
        return restore_backup(path)
