"""Limits how many requests of a web process can wait for DNS at once.

A request that waits for DNS occupies its thread until the name server answers or the time limit is reached. So only some
threads can wait, and organizations share them (core.slots). A request without a slot is refused at once, and a worker does the
check instead.
"""

import contextlib
from collections.abc import Hashable

from django.conf import settings

from core.errors import Busy
from core.slots import Slots


class TooManyChecks(Busy):
    """No slot is free. The request itself is valid."""

    default_message = "Too many DNS checks are running; try again in a moment"
    # A check has ended by then, whatever DNS does (dnschecks.resolver.CHECK_TIMEOUT).
    retry_after = 15


_slots = Slots(TooManyChecks)


def slot(asked_by: Hashable) -> contextlib.AbstractContextManager[None]:
    """Hold a slot of this process during DNS queries for an organization, or for `asked_by`; raises TooManyChecks."""
    return _slots.taken(asked_by, slots=settings.SLUICE_DNS_WAITERS)
