"""Scheduled backups: one file a day in a folder, restored into a database of its own before it counts, the oldest deleted.

A file has its name once it is verified: `sluice-2026-11-21.jsonl.gz`. Who finds it can restore it, with the keys of that day.
"""

import datetime
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.backup import BackupRefused, write_backup

NAME = re.compile(r"sluice-\d{4}-\d{2}-\d{2}\.jsonl\.gz")
# Seconds after which a draft is that of a process that was killed.
ABANDONED = 6 * 3600
# What tells a process that it is a production, with which settings, or where its data is.
PLACES = frozenset(
    {
        "DATABASE_URL",
        "DATABASE_REPLICA_URL",
        "STATS_DATABASE_URL",
        "REDIS_URL",
        "DJANGO_SETTINGS_MODULE",
        "SLUICE_DATA_DIR",
        "SLUICE_STATIC_ROOT",
        "SLUICE_OTLP_ENDPOINT",
        "SLUICE_OIDC_ISSUER",
        "SLUICE_BACKUP_BUCKET",
    }
)


class BackupFailed(Exception):
    """The backup cannot be made, or what was made cannot be restored; has the reason."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was restored once."""

    path: Path
    rows: int


def back_up(*, folder: Path, keep: int, now: datetime.datetime) -> Backup | None:
    """Make this day's backup, verify it, and delete all but the newest `keep`; None if the day has one already.

    Raises BackupFailed. Then the earlier backups stay as they are.
    """
    path = folder / f"sluice-{now:%Y-%m-%d}.jsonl.gz"
    if path.exists():
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _forget_abandoned(folder)
        draft = folder / f".{path.name}.unverified"
        rows = write_backup(draft, now=now)
    except (BackupRefused, OSError) as problem:
        raise BackupFailed(f"The backup cannot be written: {problem}") from problem
    try:
        verify(draft, folder=folder)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    for older in backups(folder)[keep:]:
        older.unlink(missing_ok=True)
    return Backup(path, rows)


def backups(folder: Path) -> list[Path]:
    """Return the backups in a folder, newest first."""
    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)


def verify(path: Path, *, folder: Path) -> None:
    """Restore a backup into an SQLite database in `folder`, read every secret's key, and back it up again: nothing may differ.

    Raises BackupFailed.
    """
    place = Path(tempfile.mkdtemp(prefix=".verify-", dir=folder))
    try:
        environment = {name: value for name, value in os.environ.items() if name not in PLACES}
        environment |= {
            "SLUICE_DATA_DIR": str(place),
            "SLUICE_ENCRYPTION_KEYS": ",".join(settings.SLUICE_ENCRYPTION_KEYS),
        }
        again = place / "again.jsonl.gz"
        for arguments in (
            ["migrate", "--verbosity", "0"],
            ["restore", str(path)],
            ["check", "--database", "default"],
            ["backup", str(again)],
        ):
            _manage(environment, arguments)
        if _digest(path) != _digest(again):
            raise BackupFailed("What was restored differs from what was backed up.")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _manage(environment: dict[str, str], arguments: list[str]) -> None:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupFailed(f"The backup cannot be restored ({arguments[0]}): {' '.join(done.stderr.split())[-500:]}")


def _digest(path: Path) -> bytes:
    """Return what names the rows of a backup: all but its first line, which says when it was made."""
    digest = hashlib.sha256()
    with gzip.open(path, "rb") as file:
        file.readline()
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.digest()


def _forget_abandoned(folder: Path) -> None:
    """Remove what a killed process left."""
    for left in [*folder.glob(".sluice-*.unverified*"), *folder.glob(".verify-*")]:
        if time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
