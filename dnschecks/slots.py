"""Limits how many requests of a web process can wait for DNS at once.

A request that waits for DNS occupies its thread until the name server answers or the time limit is reached. So only some
threads can wait, and an organization gets another slot only while there are more free slots than it holds: a single one gets
at most half, and several share them. A request without a slot is refused at once, and a worker does the check instead.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Hashable, Iterator

from django.conf import settings

from core.errors import Busy


class TooManyChecks(Busy):
    """No slot is free. The request itself is valid."""

    default_message = "Too many DNS checks are running; try again in a moment"
    # A check has ended by then, whatever DNS does (dnschecks.resolver.CHECK_TIMEOUT).
    retry_after = 15


class Slots:
    """A limit on concurrent work of this process, shared fairly between organizations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[Hashable] = Counter()

    @contextlib.contextmanager
    def taken(self, asked_by: Hashable, *, slots: int) -> Iterator[None]:
        """Hold one of the slots; raises TooManyChecks at once if `asked_by` cannot get one."""
        with self._lock:
            if slots - self._taken.total() <= self._taken[asked_by]:
                raise TooManyChecks
            self._taken[asked_by] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[asked_by] -= 1
                if not self._taken[asked_by]:
                    # Entries without slots are removed.
                    del self._taken[asked_by]


_slots = Slots()


def slot(asked_by: Hashable) -> contextlib.AbstractContextManager[None]:
    """Hold a slot of this process during DNS queries for an organization, or for `asked_by`; raises TooManyChecks."""
    return _slots.taken(asked_by, slots=settings.SLUICE_DNS_WAITERS)
