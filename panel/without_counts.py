"""What pages of configuration do while the statistics' own database (STATS_DATABASE_URL) is away: they say so, and go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.contrib import messages
from django.db import DatabaseError
from django.http import HttpRequest

from stats.ledger import database

logger = structlog.get_logger(__name__)

# Said once on a page, by an attribute of the request.
_IS_TOLD = "sluice_is_told_of_missing_counts"
SENTENCE = "The database of the statistics does not answer: counts are missing on this page. Everything else works."


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Leave the block where the statistics' own database fails, and say so on the page; all other failures go their way."""
    try:
        yield
    except DatabaseError as problem:
        if not database.has_failed():
            raise
        logger.warning("page_without_counts", path=request.path, cause=str(problem))
        if not hasattr(request, _IS_TOLD):
            setattr(request, _IS_TOLD, True)
            messages.warning(request, SENTENCE)


def read[Found](request: HttpRequest, find: Callable[[], Found]) -> Found | None:
    """Return what the function finds, or None where the statistics' own database fails, which is said on the page."""
    with told(request):
        return find()
    return None
