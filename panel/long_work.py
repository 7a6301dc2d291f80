"""Limits how many files a web process writes and reads at once: each can take a thread some ten seconds."""

import contextlib
import functools
from collections.abc import Callable
from typing import Concatenate

from django.conf import settings
from django.http import HttpRequest, HttpResponse

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


def few_at_once[Page, **Given](
    view: Callable[Concatenate[Page, HttpRequest, Given], HttpResponse],
) -> Callable[Concatenate[Page, HttpRequest, Given], HttpResponse]:
    """Decorate the view of a file: all of its work is done in a slot, the reading of what it writes too, or refused."""

    @functools.wraps(view)
    def limited(page: Page, request: HttpRequest, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        try:
            with slot(request):
                return view(page, request, *args, **kwargs)
        except TooManyFiles as refusal:
            headers = {"Retry-After": str(refusal.retry_after)}
            return HttpResponse(f"{refusal.message}.\n", status=503, content_type="text/plain", headers=headers)

    return limited
