"""The embedded cache for the lock-out's counters: Django's file cache, which evicts only expired entries."""

import random
from pathlib import Path
from typing import Any

from django.core.cache.backends.filebased import FileBasedCache

# How often a count that is written looks for those that have expired.
SWEEP_EVERY = 200


class FileCounters(FileBasedCache):
    """Django's file cache without eviction of valid entries: it would evict a third of 300, and so forget lock-outs.

    Here no number of entries evicts one before its time. One client adds at most 101 in five minutes: then it is locked out,
    and what it tries is not counted.
    """

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
