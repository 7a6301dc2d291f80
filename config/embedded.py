"""The embedded default: database, cache, broker and secrets of a single machine, as files in one folder."""

import fcntl
import json
import os
import secrets as random
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from config import environment

# Celery's filesystem broker is asked this often (seconds): 35-51 ms from `delay` to the task, measured.
POLLING_INTERVAL = 0.05
# Bytes.
LEAST_SPACE = 32 * 1024**2
# A file of the broker's that was touched so many seconds ago may be half written.
BEING_WRITTEN = 5


def fault_of(folder: Path) -> str:
    """Return why the data folder cannot be written, as the end of a sentence; "" if it can.

    A disk is full when less than 32 MiB are left: SQLite's log, a message and a file of metrics must still fit.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written"
    place = os.statvfs(folder)
    left = place.f_bavail * place.f_frsize
    if left < LEAST_SPACE:
        return f"is on a full disk ({left // 1024**2} MiB are left; {LEAST_SPACE // 1024**2} are needed)"
    return ""


def open_folder(folder: Path) -> None:
    """Create the data folder if it does not exist; end the process if that, or writing to it, is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as problem:
        environment.end(
            [f"The data folder {folder} cannot be written: {problem.strerror}. Set SLUICE_DATA_DIR to another one."]
        )


def secrets(folder: Path) -> dict[str, str]:
    """Return the secrets of this folder, generated on the first call; a lock prevents two sets."""
    open_folder(folder)
    path = folder / "secrets.json"
    with (folder / "secrets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            fresh = {"secret_key": random.token_urlsafe(48), "encryption_key": Fernet.generate_key().decode()}
            draft = path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(fresh, file)
                # These open everything that is stored from now on: they must outlive a power cut that the data outlives.
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        return json.loads(path.read_text())


def database(folder: Path) -> dict[str, Any]:
    """Return the SQLite settings: IMMEDIATE, because a read that turns into a write cannot wait for the lock."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": folder / "sluice.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def broker(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return URL and transport options of Celery's filesystem broker."""
    queue, processed = folder / "broker" / "queue", folder / "broker" / "processed"
    for path in (queue, processed):
        path.mkdir(parents=True, exist_ok=True)
    _forget_broken_tables(folder / "broker" / "control")
    return "filesystem://localhost", {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "processed_folder": str(processed),
        "control_folder": str(folder / "broker" / "control"),
        "polling_interval": POLLING_INTERVAL,
    }


def _forget_broken_tables(control: Path) -> None:
    """Remove truncated tables of the broker (after a full disk), which block all messages; they are recreated.

    One that is being written just now is left alone.
    """
    for table in control.glob("*.exchange"):
        try:
            json.loads(table.read_bytes())
        except ValueError:
            if time.time() - table.stat().st_mtime > BEING_WRITTEN:
                table.unlink(missing_ok=True)


def cache(folder: Path) -> dict[str, Any]:
    """Return a cache that web and worker processes share; it evicts entries at random when it is full."""
    return {"BACKEND": "config.file_cache.FileCache", "LOCATION": folder / "cache"}


def counters(folder: Path) -> dict[str, Any]:
    """Return the cache of the lock-out's counters, which evicts only expired entries."""
    return {"BACKEND": "config.file_counters.FileCounters", "LOCATION": folder / "lockout"}
