"""Copies of the backups in S3-compatible storage, by obstore. Its library is imported only where SLUICE_BACKUP_BUCKET is set.

A copy counts when it was read back and is, byte for byte, the file that was restored before. Credentials are AWS's own
variables or the machine's role; object_store, which obstore wraps, finds them.
"""

import datetime
import hashlib
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from config.backups import NAME, BackupFailed, backups

logger = structlog.get_logger(__name__)

SCHEME = "s3"
# Bytes of a part, and parts that are sent at once: what a worker holds in memory is less than their product.
PART, AT_ONCE = 8 * 1024 * 1024, 4
# For one request, with a part in it, and for one request with all its repetitions.
REQUEST_WITHIN, RETRIED_FOR = datetime.timedelta(minutes=5), datetime.timedelta(minutes=15)
CONNECT_WITHIN, RETRIES = datetime.timedelta(seconds=10), 4


class Bucket:
    """A bucket, or what begins with a prefix in it: `s3://bucket/prefix`."""

    def __init__(self, address: str, *, endpoint: str = "", region: str = "") -> None:
        from obstore.store import S3Store

        parts = urlsplit(address)
        self.address = address.rstrip("/")
        # Hosts named by buckets need DNS and certificates of their own; every server but Amazon's newest takes paths.
        more: dict[str, Any] = {"endpoint": endpoint} if endpoint else {"virtual_hosted_style_request": True}
        if region:
            more["region"] = region
        self.store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": CONNECT_WITHIN,
                "timeout": REQUEST_WITHIN,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRIED_FOR},
            **more,
        )

    @classmethod
    def configured(cls, address: str = "") -> Self:
        """Return the bucket of the settings, or another one with their endpoint and region."""
        return cls(
            address or settings.SLUICE_BACKUP_BUCKET,
            endpoint=settings.SLUICE_BACKUP_ENDPOINT,
            region=settings.SLUICE_BACKUP_REGION,
        )

    def names(self) -> list[str]:
        """Return the names of the backups, newest first. Raises BackupFailed."""
        from obstore.exceptions import BaseError

        try:
            found = [str(each["path"]) for batch in self.store.list() for each in batch]
        except BaseError as problem:
            raise self._failed("cannot be listed", problem) from problem
        return sorted((name for name in found if NAME.fullmatch(name)), reverse=True)

    def put(self, path: Path) -> None:
        """Copy a backup into the bucket and read it back; one that differs is deleted there. Raises BackupFailed."""
        from obstore.exceptions import BaseError

        try:
            self.store.put(path.name, path, chunk_size=PART, max_concurrency=AT_ONCE)
            if self._digest(path.name) == _digest_of(path):
                return
            self.store.delete(path.name)
        except (BaseError, OSError) as problem:
            raise self._failed(f"does not take {path.name}", problem) from problem
        raise BackupFailed(f"What {self.address} gives back differs from {path.name}.")

    def fetch(self, name: str, path: Path) -> None:
        """Copy a backup out of the bucket into a new file. Raises BackupFailed."""
        from obstore.exceptions import BaseError

        try:
            with path.open("xb") as file:
                for piece in self.store.get(name).stream(min_chunk_size=PART):
                    file.write(piece)
        except (BaseError, OSError) as problem:
            raise self._failed(f"does not give {name}", problem) from problem

    def forget(self, names: list[str]) -> None:
        """Delete backups. A bucket may refuse it, and keep what it has by rules of its own."""
        from obstore.exceptions import BaseError

        if not names:
            return
        try:
            self.store.delete(names)
        except BaseError as problem:
            logger.warning("backups_not_deleted", names=names, reason=_short(problem))

    def _digest(self, name: str) -> bytes:
        digest = hashlib.sha256()
        for piece in self.store.get(name).stream(min_chunk_size=PART):
            digest.update(piece)
        return digest.digest()

    def _failed(self, what: str, problem: Exception) -> BackupFailed:
        return BackupFailed(f"{self.address} {what}: {_short(problem)}")


def copy_out(*, folder: Path, keep: int) -> list[str]:
    """Copy backups of a folder into the bucket, those too that it did not take before, and delete all but the newest `keep`.

    Returns what was copied. `keep` 0: none is deleted. Raises BackupFailed.
    """
    bucket = Bucket.configured()
    there = bucket.names()
    # What was deleted there for its age must not come back.
    newest_there = set(there) if not keep else set(there[:keep])
    copied = []
    for path in backups(folder)[: keep or None]:
        if path.name not in newest_there:
            bucket.put(path)
            copied.append(path.name)
    if keep and copied:
        bucket.forget(sorted({*there, *copied}, reverse=True)[keep:])
    return copied


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _short(problem: Exception) -> str:
    # The library tells its whole chain of causes; none has a key in it, but addresses and bodies.
    return " ".join(str(problem).split())[:300]
