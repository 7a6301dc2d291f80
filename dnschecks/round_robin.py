"""Round-robin scheduling of due rows over their owners, so that many slow rows of one owner do not delay the others."""

import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from django.db.models import F, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import RowNumber
from django.utils import timezone

from dnschecks.checked import DNSCheckedQuerySet

# Rows known at once, and the seconds after which it is looked again who has become due.
KNOWN = 512
FRESH = 5.0


class RoundRobin:
    """The due rows of each owner, in the order in which they are checked.

    Owners that have had the fewest turns come first, then the one whose row has waited longest. An owner that appears later
    begins where the others are: it does not make up for turns that it did not need.
    """

    def __init__(self, rows: Callable[[], DNSCheckedQuerySet[Any]], owner: Combinable) -> None:
        self._rows, self._owner = rows, owner
        self._waiting: dict[Hashable, deque[int]] = {}
        self._turns: dict[Hashable, int] = {}
        self._now = 0
        self._looked_at = float("-inf")

    def take(self, number: int) -> list[int]:
        """Return the ids of the next rows, at most so many. The caller must claim them: others may have meanwhile."""
        is_stale = time.monotonic() - self._looked_at > FRESH
        if is_stale or sum(map(len, self._waiting.values())) < number:
            self._look()
        return self.take_known(number)

    def take_known(self, number: int) -> list[int]:
        """Do the same without asking the database."""
        taken: list[int] = []
        while self._waiting and len(taken) < number:
            # The first of several with as few turns: the one who has waited longest.
            owner = min(self._waiting, key=self._turns.__getitem__)
            taken.append(self._waiting[owner].popleft())
            if not self._waiting[owner]:
                del self._waiting[owner]
            self._now = self._turns[owner]
            self._turns[owner] += 1
        return taken

    def _look(self) -> None:
        longest = F("dns_next_check_at").asc(nulls_first=True)
        turn = Window(RowNumber(), partition_by=F("owner"), order_by=[longest, F("pk").asc()])
        due = self._rows().due(timezone.now()).annotate(owner=self._owner).annotate(turn=turn)
        self._waiting = {}
        for pk, owner in due.order_by("turn", longest, "pk").values_list("pk", "owner")[:KNOWN]:
            self._waiting.setdefault(owner, deque()).append(pk)
            self._turns[owner] = max(self._turns.get(owner, 0), self._now)
        self._looked_at = time.monotonic()
