"""The embedded cache: Django's file cache, whose entries end also where the clock is set back."""

import pickle
import time
import zlib
from typing import Any, BinaryIO

from django.core.cache.backends.filebased import FileBasedCache

# Seconds. A clock that is corrected by a little ends no entry.
TOLERATED = 10
# Errors of reading an entry that a power loss damaged or another version wrote. Such an entry counts as missing.
_UNREADABLE = (
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    zlib.error,
)


class FileCache(FileBasedCache):
    """Django's file cache, in which each entry has the time when it was written.

    Django's has that of its end alone: what a clock that was a year ahead wrote would stay for a year, a lock-out too.
    """

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value; `default` also for an entry that cannot be read, which is removed."""
        try:
            return super().get(key, default, version)
        except _UNREADABLE:
            self.delete(key, version)
            return default

    def _write_content(self, file: BinaryIO, timeout: float | None, value: Any) -> None:
        # The type stubs lack the methods that this class extends.
        cache: Any = super()
        file.write(pickle.dumps(time.time()))
        cache._write_content(file, timeout, value)

    def _is_expired(self, file: BinaryIO) -> bool:
        """Return whether the open file's entry is over, and then remove it."""
        cache: Any = super()
        try:
            if pickle.load(file) <= time.time() + TOLERATED:  # noqa: S301 - files of our own
                return bool(cache._is_expired(file))
        except _UNREADABLE:
            # Nobody can tell its end.
            pass
        file.close()
        cache._delete(file.name)
        return True
