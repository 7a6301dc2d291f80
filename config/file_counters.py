"""The embedded cache for the lock-out's counters: Django's file cache, which evicts only expired entries."""

import contextlib
import fcntl
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.file_cache import FileCache

# How often a count that is written looks for those that have expired.
SWEEP_EVERY = 200


class FileCounters(FileCache):
    """Django's file cache without eviction of valid entries: it would evict a third of 300, and so forget lock-outs.

    Here no number of entries evicts one before its time. One client adds at most 101 in five minutes: then it is locked out,
    and what it tries is not counted.
    """

    def add(self, *args: Any, **kwargs: Any) -> bool:
        """Set what is not there, or return False; nobody else counts meanwhile."""
        with self._alone():
            return super().add(*args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> int:
        """Count one more; nobody else counts meanwhile.

        Django's reads and writes: guesses at the same moment would count as one, and whoever makes sixteen at a time would have
        sixteen times as many.
        """
        with self._alone():
            return super().incr(*args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> bool:
        """Let an entry end later; nobody else counts meanwhile."""
        with self._alone():
            return super().touch(*args, **kwargs)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock that excludes other threads and processes: each opens the file anew."""
        cache: Any = self
        cache._createdir()
        with (Path(cache._dir) / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _cull(self) -> None:
        if random.randrange(SWEEP_EVERY) == 0:  # noqa: S311 - chance, no secret
            self.sweep()

    def sweep(self) -> None:
        """Remove expired entries."""
        # The stubs of types leave these two methods out.
        cache: Any = self
        for path in cache._list_cache_files():
            try:
                with Path(path).open("rb") as file:
                    # Closes and removes the file where it has expired.
                    cache._is_expired(file)
            except OSError:
                # Another process removed it.
                continue
