"""Limits how many files a web process writes and reads at once, and how long one that is written may take."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Concatenate

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from core.errors import Busy, Refused
from core.slots import Slots
from panel.viewer import viewer_of


class TooManyFiles(Busy):
    """No slot is free. The request itself is valid."""

    default_message = "Too many files are being written or read; try again in a moment"
    retry_after = 15


class TooLong(Refused):
    """A file is given up: whoever waits for it would hold a thread, and keep others' requests waiting."""

    default_message = "The file takes too long to write: leave less of the list by its filters, such as a shorter time"


# A file of as many rows as there may be takes some seconds; of rows that each take a megabyte to read, it would take minutes.
MOST_SECONDS = 10.0

_slots = Slots(TooManyFiles)
_until: ContextVar[float | None] = ContextVar("until", default=None)


def slot(request: HttpRequest) -> contextlib.AbstractContextManager[None]:
    """Hold a slot of this process while a file is written or read for this person; raises TooManyFiles."""
    return _slots.taken(viewer_of(request).counts_as, slots=max(1, settings.SLUICE_WEB_THREADS // 4))


def in_time[T](rows: Iterable[T]) -> Iterator[T]:
    """Yield the rows; raises TooLong where the file that is written of them has had its time."""
    for row in rows:
        until = _until.get()
        if until is not None and time.monotonic() > until:
            raise TooLong
        yield row


def few_at_once[Page, **Given](
    view: Callable[Concatenate[Page, HttpRequest, Given], HttpResponse],
) -> Callable[Concatenate[Page, HttpRequest, Given], HttpResponse]:
    """Decorate the view of a file: all of its work is done in a slot, the reading of what it writes too, or refused."""

    @functools.wraps(view)
    def limited(page: Page, request: HttpRequest, *args: Given.args, **kwargs: Given.kwargs) -> HttpResponse:
        token = _until.set(time.monotonic() + MOST_SECONDS)
        try:
            with slot(request):
                return view(page, request, *args, **kwargs)
        except TooLong as refusal:
            return HttpResponse(f"{refusal.message}.\n", status=413, content_type="text/plain")
        except TooManyFiles as refusal:
            headers = {"Retry-After": str(refusal.retry_after)}
            return HttpResponse(f"{refusal.message}.\n", status=503, content_type="text/plain", headers=headers)
        finally:
            _until.reset(token)

    return limited
