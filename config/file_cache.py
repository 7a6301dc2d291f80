"""The embedded cache: Django's file cache, whose entries end also where the clock is set back."""

import pickle
import time
from typing import Any, BinaryIO

from django.core.cache.backends.filebased import FileBasedCache

# Seconds. A clock that is corrected by a little ends no entry.
TOLERATED = 10


class FileCache(FileBasedCache):
    """Django's file cache, in which each entry has the time when it was written.

    Django's has that of its end alone: what a clock that was a year ahead wrote would stay for a year, a lock-out too.
    """

    def _write_content(self, file: BinaryIO, timeout: float | None, value: Any) -> None:
        file.write(pickle.dumps(time.time()))
        # The stubs of types leave this and what is below out.
        super()._write_content(file, timeout, value)  # type: ignore[misc]

    def _is_expired(self, file: BinaryIO) -> bool:
        """Return whether the open file's entry is over, and then remove it."""
        cache: Any = super()
        try:
            is_of_the_future = pickle.load(file) > time.time() + TOLERATED  # noqa: S301 - files of our own
        except EOFError:
            is_of_the_future = True
        if is_of_the_future:
            file.close()
            cache._delete(file.name)
            return True
        return bool(cache._is_expired(file))
