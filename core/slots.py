"""Limits how much work of a kind a web process does at once, so that no organization occupies all of its threads."""

import contextlib
import threading
from collections import Counter
from collections.abc import Hashable, Iterator

from core.errors import Busy


class Slots:
    """A limit on concurrent work of this process, shared fairly between organizations.

    An organization gets another slot only while there are more free slots than it holds: a single one gets at most half, and
    several share them.
    """

    def __init__(self, refusal: type[Busy]) -> None:
        self._refusal = refusal
        self._lock = threading.Lock()
        self._taken: Counter[Hashable] = Counter()

    @contextlib.contextmanager
    def taken(self, asked_by: Hashable, *, slots: int) -> Iterator[None]:
        """Hold one of the slots; raises the refusal at once if `asked_by` cannot get one."""
        with self._lock:
            if slots - self._taken.total() <= self._taken[asked_by]:
                raise self._refusal
            self._taken[asked_by] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[asked_by] -= 1
                if not self._taken[asked_by]:
                    # Entries without slots are removed.
                    del self._taken[asked_by]
