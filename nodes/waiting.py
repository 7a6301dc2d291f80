"""Long polling for nodes: waits for changes without holding a database connection."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.utils import timezone

from nodes import changes
from nodes.access import InvalidNodeKey
from nodes.document import Wanted, wanted_by
from nodes.models import Node
from nodes.publishing import publish_if_changed

# Seconds between two looks.
INTERVAL = 0.5
# Between two looks that read the policy, so many times as long as the first took: any entry of the audit trail makes one, and a
# tenant's key can write one after the other.
REST = 4
# So often a look reads the counts too.
SECONDS_OF_COUNTS = 10

# Requests of one node that wait in a process: one, and that of before its agent was started anew.
MOST_OF_NODE = 2

_places = threading.BoundedSemaphore(settings.SLUICE_NODE_WAITERS)
_lock = threading.Lock()
_of_node: collections.Counter[int] = collections.Counter()


class TooMany(Exception):
    """The limit of waiting requests of this process, or of this node, is reached."""


def until_changed(node: Node, known: Wanted, *, seconds: float) -> Wanted | None:
    """Return the wanted policy as soon as it differs from the known one; None at the time-out.

    Raises TooMany, InvalidNodeKey where the key stops meanwhile, and NoRevision. Each look is a few short queries; only an
    entry of the audit trail makes it read more.
    """
    with _place(node.pk):
        return _wait(node, known, time.monotonic() + seconds)


@contextlib.contextmanager
def _place(node_id: int) -> Iterator[None]:
    """Hold one of the places; raises TooMany. One node, or whoever has its key, cannot take the places of the others."""
    with _lock:
        if _of_node[node_id] >= MOST_OF_NODE or not _places.acquire(blocking=False):
            raise TooMany
        _of_node[node_id] += 1
    try:
        yield
    finally:
        with _lock:
            _of_node[node_id] -= 1
            if not _of_node[node_id]:
                del _of_node[node_id]
            _places.release()


def _wait(node: Node, known: Wanted, end: float) -> Wanted | None:
    seen = (known.revision.pk, "", 0)
    rests_until = float("-inf")
    while True:
        state = changes.state()[0]
        current = Node.objects.select_related("revision").filter(pk=node.pk, key_digest=node.key_digest).first()
        if current is None:
            raise InvalidNodeKey
        now = timezone.now()
        # Counts change what applies without an entry: addresses that are warmed up rest when they have used their part.
        counted = int(now.timestamp()) // SECONDS_OF_COUNTS
        began = time.monotonic()
        if (current.revision_id, state, counted) != seen and began >= rests_until:
            publish_if_changed(now=now, in_request=True)
            current.refresh_from_db()
            wanted = wanted_by(current, at=now)
            if wanted.etag != known.etag:
                return wanted
            seen = (current.revision_id or 0, state, counted)
            ended = time.monotonic()
            rests_until = ended + REST * (ended - began)
        left = end - time.monotonic()
        if left <= 0:
            return None
        if not connection.in_atomic_block:
            # Back to the pool: a request that waits holds none.
            connection.close()
        time.sleep(min(INTERVAL, left))
