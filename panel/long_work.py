"""Limits how many files a web process writes and reads at once: each can take a thread some ten seconds."""

import contextlib

from django.conf import settings
from django.http import HttpRequest

from core.errors import Busy
from core.slots import Slots
from panel.viewer import viewer_of


class TooManyFiles(Busy):
    """No slot is free. The request itself is valid."""

    default_message = "Too many files are being written or read; try again in a moment"
    retry_after = 15


_slots = Slots(TooManyFiles)


def slot(request: HttpRequest) -> contextlib.AbstractContextManager[None]:
    """Hold a slot of this process while a file is written or read for this person; raises TooManyFiles."""
    return _slots.taken(viewer_of(request).counts_as, slots=max(1, settings.SLUICE_WEB_THREADS // 4))
